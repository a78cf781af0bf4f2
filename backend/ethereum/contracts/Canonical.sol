// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Asset, Params, State, SubAlloc} from "./Types.sol";

/// @notice Hashes params and states where they lie in calldata, and reads their parts.
///
/// `keccak256(abi.encode(struct))` is the hash of an offset word (0x20) and the struct's canonical encoding: heads
/// with offsets, followed by the tails in order and without gaps. Every ABI encoder puts exactly these bytes into
/// calldata, so they are hashed there instead of being decoded and encoded again.
///
/// ABI decoders also accept other encodings, in which an offset leads out of the bytes that are hashed; whoever signs
/// such a thing could show different contents for one hash. So the hashing functions walk through the whole
/// encoding first and insist on every offset: `hashed` and `channelID` revert unless all parts of the struct lie
/// where they must, within the bytes that are hashed. The other functions read without checking and may only be
/// used on structs that were hashed.
library Canonical {
    // Where things lie from the start of an encoded state: its head has five words, the outcome's head four.
    uint256 private constant OUTCOME = 0xa0;
    uint256 private constant ASSETS = 0x120;
    /// No list and no byte string is longer than this: so sums of lengths can't overflow.
    uint256 private constant LENGTH_BITS = 32;

    // ---------------------------------------------------------------- hashing

    /// @notice keccak256(abi.encode(params)) and the participants' addresses.
    function channelID(Params calldata params) internal pure returns (bytes32 hash, address[] memory participants) {
        unchecked {
            uint256 start = _at(params);
            uint256 wrong = _word(start + 0x40) ^ 0xc0;
            uint256 count = _word(start + 0xc0);
            wrong |= count >> LENGTH_BITS;
            require(wrong == 0, "invalid params");
            uint256 base = start + 0xe0;
            uint256 cursor = base + 32 * count;
            require(cursor <= msg.data.length, "invalid params");
            participants = new address[](count);
            for (uint256 i = 0; i < count; ++i) {
                // offset of the participant; address, offset of ccAddress; its length
                uint256 length = _word(cursor + 0x40);
                uint256 participant = _word(cursor);
                wrong |= (_word(base + 32 * i) ^ (cursor - base)) | (_word(cursor + 0x20) ^ 0x40)
                    | length >> LENGTH_BITS | participant >> 160;
                assembly ("memory-safe") {
                    mstore(add(add(participants, 0x20), shl(5, i)), participant)
                }
                cursor += 0x60 + _padded(length);
            }
            require(wrong == 0, "invalid params");
            hash = _hash(start, cursor);
        }
    }

    /// @notice keccak256(abi.encode(state)).
    function hashed(State calldata state) internal pure returns (bytes32) {
        uint256 start = _at(state);
        return _hash(start, _endOf(state));
    }

    /// @notice Where the encoding of a state ends, which is checked on the way.
    function _endOf(State calldata state) private pure returns (uint256 cursor) {
        unchecked {
            uint256 start = _at(state);
            uint256 outcome = start + OUTCOME;
            uint256 wrong = (_word(start + 0x40) ^ OUTCOME) | (_word(outcome) ^ 0x80);
            cursor = start + ASSETS;
            // assets: chainID, ethHolder, offset of ccHolder; its length
            uint256 count = _word(cursor);
            uint256 base = cursor + 32;
            cursor = _afterWords(cursor);
            for (uint256 i = 0; i < count; ++i) {
                uint256 length = _word(cursor + 0x60);
                wrong |= (_word(base + 32 * i) ^ (cursor - base)) | (_word(cursor + 0x40) ^ 0x60)
                    | length >> LENGTH_BITS;
                cursor += 0x80 + _padded(length);
            }
            // backends
            wrong |= _word(outcome + 0x20) ^ (cursor - outcome);
            cursor = _afterWords(cursor);
            // balances
            wrong |= _word(outcome + 0x40) ^ (cursor - outcome);
            count = _word(cursor);
            base = cursor + 32;
            cursor = _afterWords(cursor);
            for (uint256 i = 0; i < count; ++i) {
                wrong |= _word(base + 32 * i) ^ (cursor - base);
                cursor = _afterWords(cursor);
            }
            // locked: ID, offset of balances, offset of indexMap; balances; indexMap
            wrong |= _word(outcome + 0x60) ^ (cursor - outcome);
            count = _word(cursor);
            base = cursor + 32;
            cursor = _afterWords(cursor);
            for (uint256 i = 0; i < count; ++i) {
                uint256 sub = cursor;
                wrong |= (_word(base + 32 * i) ^ (sub - base)) | (_word(sub + 0x20) ^ 0x60);
                cursor = _afterWords(sub + 0x60);
                wrong |= _word(sub + 0x40) ^ (cursor - sub);
                cursor = _afterWords(cursor);
            }
            // appData
            wrong |= _word(start + 0x60) ^ (cursor - start);
            uint256 dataLength = _word(cursor);
            wrong |= dataLength >> LENGTH_BITS;
            cursor += 32 + _padded(dataLength);
            require(wrong == 0 && cursor <= msg.data.length, "invalid encoding");
        }
    }

    function _hash(uint256 start, uint256 end) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, 0x20)
            let size := sub(end, start)
            calldatacopy(add(buffer, 0x20), start, size)
            hash := keccak256(buffer, add(size, 0x20))
        }
    }

    // ---------------------------------------------------------------- reading what was hashed

    function assetsOf(State calldata state) internal pure returns (Asset[] calldata assets) {
        assembly ("memory-safe") {
            assets.length := calldataload(add(state, ASSETS))
            assets.offset := add(state, add(ASSETS, 0x20))
        }
    }

    function assetAt(Asset[] calldata assets, uint256 index) internal pure returns (Asset calldata asset) {
        assembly ("memory-safe") {
            asset := add(assets.offset, calldataload(add(assets.offset, shl(5, index))))
        }
    }

    /// @notice How many rows of balances there are.
    function rowsOf(State calldata state) internal pure returns (uint256 count) {
        assembly ("memory-safe") {
            let outcome := add(state, OUTCOME)
            count := calldataload(add(outcome, calldataload(add(outcome, 0x40))))
        }
    }

    /// @notice The balances of one asset; `asset` must be less than `rowsOf`.
    function rowAt(State calldata state, uint256 asset) internal pure returns (uint256[] calldata row) {
        assembly ("memory-safe") {
            let outcome := add(state, OUTCOME)
            let base := add(add(outcome, calldataload(add(outcome, 0x40))), 0x20)
            let at := add(base, calldataload(add(base, shl(5, asset))))
            row.length := calldataload(at)
            row.offset := add(at, 0x20)
        }
    }

    function lockedOf(State calldata state) internal pure returns (SubAlloc[] calldata locked) {
        assembly ("memory-safe") {
            let outcome := add(state, OUTCOME)
            let at := add(outcome, calldataload(add(outcome, 0x60)))
            locked.length := calldataload(at)
            locked.offset := add(at, 0x20)
        }
    }

    /// @notice Where the bytes of the list of participants lie.
    function participantBounds(Params calldata params) internal pure returns (uint256 start, uint256 end) {
        (start, end) = boundsOf(params);
        unchecked {
            start += 0xc0;
        }
    }

    /// @notice Where the bytes of params lie, which were hashed.
    function boundsOf(Params calldata params) internal pure returns (uint256 start, uint256 end) {
        unchecked {
            start = _at(params);
            uint256 count = _word(start + 0xc0);
            uint256 base = start + 0xe0;
            end = base;
            if (count != 0) {
                uint256 last = base + _word(base + 32 * (count - 1));
                end = last + 0x60 + _padded(_word(last + 0x40));
            }
        }
    }

    /// @notice Where the bytes of a state lie, which were hashed.
    function boundsOf(State calldata state) internal pure returns (uint256 start, uint256 end) {
        unchecked {
            start = _at(state);
            uint256 appData = start + _word(start + 0x60);
            end = appData + 32 + _padded(_word(appData));
        }
    }

    // ---------------------------------------------------------------- small things

    function _at(Params calldata params) private pure returns (uint256 position) {
        assembly ("memory-safe") {
            position := params
        }
    }

    function _at(State calldata state) private pure returns (uint256 position) {
        assembly ("memory-safe") {
            position := state
        }
    }

    function _word(uint256 position) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(position)
        }
    }

    /// @dev Where a list of words ends whose length lies at `position`. Lists that do not fit calldata do not end.
    function _afterWords(uint256 position) private pure returns (uint256) {
        unchecked {
            uint256 length = _word(position);
            return length >> LENGTH_BITS == 0 ? position + 32 + 32 * length : type(uint256).max >> 1;
        }
    }

    /// @dev A length of bytes with its padding.
    function _padded(uint256 length) private pure returns (uint256) {
        unchecked {
            return (length + 31) & ~uint256(31);
        }
    }
}
