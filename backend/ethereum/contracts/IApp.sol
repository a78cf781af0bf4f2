// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Params, State} from "./Types.sol";

/// @notice The rules of an app channel, which the adjudicator asks when a step is forced.
interface IApp {
    /// @notice Returns when participant `actorIdx` may replace state `from` by state `to`; reverts otherwise.
    /// @dev The adjudicator has checked already: IDs, dimensions, sums, locked funds, the version and the actor's
    /// signature. It calls with at most `APP_GAS` gas. The app has to check everything else, that a state with
    /// `isFinal` may be final among them.
    function validTransition(Params calldata params, State calldata from, State calldata to, uint256 actorIdx)
        external
        pure;
}
