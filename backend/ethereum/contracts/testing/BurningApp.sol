// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IApp} from "../IApp.sol";
import {Params, State} from "../Types.sol";

/// @notice An app that never comes to a decision. For tests only.
contract BurningApp is IApp {
    function validTransition(Params calldata, State calldata, State calldata, uint256) external pure {
        while (true) {}
    }
}
