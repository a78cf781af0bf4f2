// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Participant, Params, State} from "./Types.sol";

/// @notice Hashes of what participants sign, taken straight from calldata.
///
/// `keccak256(abi.encode(struct))` is the hash of an offset word (0x20) and the struct's canonical encoding. Every
/// ABI encoder puts exactly these bytes into calldata, so they are hashed where they lie, which saves decoding and
/// encoding them. That is sound for hostile calldata, too: the hash equals a signed one only if the bytes from the
/// struct's start are the canonical encoding of the signed struct, and then reading the struct from its start
/// gives the signed values. Anybody who encodes in another way gets a hash that nobody has signed.
library Hashing {
    /// @notice keccak256(abi.encode(params)), if params are canonically encoded.
    function channelID(Params calldata params) internal pure returns (bytes32) {
        // The last bytes of the encoding are the last participant's ccAddress.
        Participant[] calldata participants = params.participants;
        uint256 count = participants.length;
        uint256 start;
        uint256 end;
        assembly ("memory-safe") {
            start := params
            end := participants.offset
        }
        if (count != 0) end = _endOf(participants[count - 1].ccAddress);
        return _hash(start, end);
    }

    /// @notice keccak256(abi.encode(state)), if the state is canonically encoded.
    function stateHash(State calldata state) internal pure returns (bytes32) {
        // The last bytes of the encoding are the app's data.
        uint256 start;
        assembly ("memory-safe") {
            start := state
        }
        return _hash(start, _endOf(state.appData));
    }

    /// @notice Where the padding of `data` ends in calldata.
    function _endOf(bytes calldata data) private pure returns (uint256 end) {
        assembly ("memory-safe") {
            end := add(data.offset, and(add(data.length, 31), not(31)))
        }
    }

    function _hash(uint256 start, uint256 end) private pure returns (bytes32 hash) {
        require(start < end && end <= msg.data.length, "not canonical");
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, 0x20)
            let size := sub(end, start)
            calldatacopy(add(buffer, 0x20), start, size)
            hash := keccak256(buffer, add(size, 0x20))
        }
    }
}
