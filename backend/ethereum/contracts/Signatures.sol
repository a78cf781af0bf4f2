// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Who signed an EIP-191 personal message of 32 bytes.
library Signatures {
    /// The largest s that is accepted: half of the curve's order, rounded down. Without this limit each signature
    /// would have a twin.
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    bytes32 internal constant CLOSE = keccak256("Perkunas close 1");
    bytes32 internal constant PAYOUT = keccak256("Perkunas payout 1");
    bytes32 internal constant WITHDRAWAL = keccak256("Perkunas withdrawal 1");

    /// @notice The digest of a hash as EIP-191 personal message.
    function digestOf(bytes32 hash) internal pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            mstore(0x00, "\x19Ethereum Signed Message:\n32")
            mstore(0x1c, hash)
            digest := keccak256(0x00, 0x3c)
        }
    }

    /// @notice The address that signed `digest`; never zero.
    /// @dev Reverts for any signature that is not 65 bytes with v 27 or 28, or 64 bytes (EIP-2098), or whose s is
    /// in the upper half, or that belongs to no key.
    function signer(bytes32 digest, bytes calldata sig) internal pure returns (address recovered) {
        bytes32 r;
        uint256 s;
        uint8 v;
        if (sig.length == 65) {
            assembly ("memory-safe") {
                r := calldataload(sig.offset)
                s := calldataload(add(sig.offset, 0x20))
                v := byte(0, calldataload(add(sig.offset, 0x40)))
            }
        } else {
            require(sig.length == 64, "ECDSA: invalid signature length");
            assembly ("memory-safe") {
                r := calldataload(sig.offset)
                let vs := calldataload(add(sig.offset, 0x20))
                s := shr(1, shl(1, vs))
                v := add(27, shr(255, vs))
            }
        }
        require(s <= HALF_ORDER, "ECDSA: invalid signature 's' value");
        require(v == 27 || v == 28, "ECDSA: invalid signature 'v' value");
        recovered = ecrecover(digest, v, r, bytes32(s));
        require(recovered != address(0), "ECDSA: invalid signature");
    }

    /// @notice As `signer`, of a hash that was signed as EIP-191 personal message.
    function signerOf(bytes32 hash, bytes calldata sig) internal pure returns (address) {
        return signer(digestOf(hash), sig);
    }

    /// @notice What a participant signs to have a channel closed with a final state, being paid to `receiver`.
    function closeHash(address adjudicator, bytes32 stateHash, address receiver) internal view returns (bytes32) {
        return keccak256(abi.encode(CLOSE, block.chainid, adjudicator, stateHash, receiver));
    }

    /// @notice What a participant signs to have all that it has in a channel paid to `receiver`.
    function payoutHash(address adjudicator, bytes32 channelID, address receiver) internal view returns (bytes32) {
        return keccak256(abi.encode(PAYOUT, block.chainid, adjudicator, channelID, receiver));
    }
}
