// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetHolder} from "./AssetHolder.sol";

/// @notice Keeps ether.
contract AssetHolderETH is AssetHolder {
    constructor(address adjudicator_) AssetHolder(adjudicator_) {}

    function _take(uint256 amount) internal override {
        require(msg.value == amount, "wrong amount of ETH for deposit");
    }

    /// @dev A receiver may be a contract: it gets gas enough to take the money. If the gas of the transaction does
    /// not suffice to give a receiver all of its share, the transaction fails rather than the payment.
    function _send(address receiver, uint256 amount, uint256 gasLimit) internal override returns (bool ok) {
        if (gasLimit != type(uint256).max) {
            // The call keeps back a 64th, and costs up to 36 600 itself (cold, new account, value).
            require(gasleft() > gasLimit + gasLimit / 63 + 40_000, "not enough gas to pay");
        }
        // No returned bytes are copied: a receiver can't make its payer pay for them.
        assembly ("memory-safe") {
            ok := call(gasLimit, receiver, amount, 0, 0, 0, 0)
        }
    }
}
