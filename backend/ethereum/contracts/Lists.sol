// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Elements of lists by an index that is known to be less than the length.
library Lists {
    function get(uint256[] memory list, uint256 index) internal pure returns (uint256 element) {
        assembly ("memory-safe") {
            element := mload(add(add(list, 0x20), shl(5, index)))
        }
    }

    function put(uint256[] memory list, uint256 index, uint256 element) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(list, 0x20), shl(5, index)), element)
        }
    }

    function get(bytes32[] memory list, uint256 index) internal pure returns (bytes32 element) {
        assembly ("memory-safe") {
            element := mload(add(add(list, 0x20), shl(5, index)))
        }
    }

    function put(bytes32[] memory list, uint256 index, bytes32 element) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(list, 0x20), shl(5, index)), element)
        }
    }

    function get(address[] memory list, uint256 index) internal pure returns (address element) {
        assembly ("memory-safe") {
            element := mload(add(add(list, 0x20), shl(5, index)))
        }
    }

    function given(address[] calldata list, uint256 index) internal pure returns (address element) {
        assembly ("memory-safe") {
            element := shr(96, shl(96, calldataload(add(list.offset, shl(5, index)))))
        }
    }

    /// @dev Reads where the offset leads, which may be anywhere in calldata: for signatures, which are checked anyway.
    function get(bytes[] calldata list, uint256 index) internal pure returns (bytes calldata element) {
        assembly ("memory-safe") {
            let position := add(list.offset, calldataload(add(list.offset, shl(5, index))))
            element.length := calldataload(position)
            element.offset := add(position, 0x20)
        }
    }
}
