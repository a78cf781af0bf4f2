// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Canonical} from "./Canonical.sol";
import {IApp} from "./IApp.sol";
import {IAssetHolder} from "./IAssetHolder.sol";
import {Params, State} from "./Types.sol";

/// @notice The adjudicator's calls of other contracts, encoded. Same bytes as `abi.encodeCall` gives; params and states
/// are copied from calldata as they are, which is right for those that were hashed (see Canonical).
library Calls {
    function setOutcome(bytes32 channelID, Params calldata params, uint256[] memory outcome)
        internal
        pure
        returns (bytes memory data)
    {
        (uint256 start, uint256 end) = Canonical.participantBounds(params);
        bytes4 selector = IAssetHolder.setOutcome.selector;
        assembly ("memory-safe") {
            data := mload(0x40)
            let size := sub(end, start)
            mstore(add(data, 0x20), selector)
            mstore(add(data, 0x24), channelID)
            mstore(add(data, 0x44), 0x60)
            mstore(add(data, 0x64), add(0x60, size))
            calldatacopy(add(data, 0x84), start, size)
            let to := add(add(data, 0x84), size)
            let rows := add(0x20, shl(5, mload(outcome)))
            mcopy(to, outcome, rows)
            to := add(to, rows)
            mstore(data, sub(sub(to, data), 0x20))
            mstore(0x40, to)
        }
    }

    function settleAndPay(
        bytes32 channelID,
        address[] memory participants,
        uint256[] memory outcome,
        address[] calldata receivers,
        bool mark
    ) internal pure returns (bytes memory data) {
        bytes4 selector = IAssetHolder.settleAndPay.selector;
        // The three lists have the same length.
        assembly ("memory-safe") {
            data := mload(0x40)
            let size := add(0x20, shl(5, mload(participants)))
            mstore(add(data, 0x20), selector)
            mstore(add(data, 0x24), channelID)
            mstore(add(data, 0x44), 0xa0)
            mstore(add(data, 0x64), add(0xa0, size))
            mstore(add(data, 0x84), add(0xa0, add(size, size)))
            mstore(add(data, 0xa4), mark)
            let to := add(data, 0xc4)
            mcopy(to, participants, size)
            to := add(to, size)
            mcopy(to, outcome, size)
            to := add(to, size)
            mstore(to, receivers.length)
            calldatacopy(add(to, 0x20), receivers.offset, shl(5, receivers.length))
            to := add(to, size)
            mstore(data, sub(sub(to, data), 0x20))
            mstore(0x40, to)
        }
    }

    function validTransition(Params calldata params, State calldata from, State calldata to, uint256 actorIdx)
        internal
        pure
        returns (bytes memory data)
    {
        (uint256 start, uint256 end) = Canonical.boundsOf(params);
        (uint256 startOld, uint256 endOld) = Canonical.boundsOf(from);
        (uint256 startNew, uint256 endNew) = Canonical.boundsOf(to);
        bytes4 selector = IApp.validTransition.selector;
        assembly ("memory-safe") {
            data := mload(0x40)
            let head := add(data, 0x24)
            mstore(add(data, 0x20), selector)
            mstore(head, 0x80)
            mstore(add(head, 0x60), actorIdx)
            let next := add(head, 0x80)
            calldatacopy(next, start, sub(end, start))
            next := add(next, sub(end, start))
            mstore(add(head, 0x20), sub(next, head))
            calldatacopy(next, startOld, sub(endOld, startOld))
            next := add(next, sub(endOld, startOld))
            mstore(add(head, 0x40), sub(next, head))
            calldatacopy(next, startNew, sub(endNew, startNew))
            next := add(next, sub(endNew, startNew))
            mstore(data, sub(sub(next, data), 0x20))
            mstore(0x40, next)
        }
    }
}
