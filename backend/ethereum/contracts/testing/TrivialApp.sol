// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IApp} from "../IApp.sol";
import {Params, State} from "../Types.sol";

/// @notice An app that accepts every step: with it any participant can force through that all money is its own.
/// For tests only.
contract TrivialApp is IApp {
    function validTransition(Params calldata, State calldata, State calldata, uint256) external pure {}
}
