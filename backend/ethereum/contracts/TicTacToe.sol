// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IApp} from "./IApp.sol";
import {Params, State} from "./Types.sol";

/// @notice Tic-tac-toe for two participants; the winner gets everything. An example of an app.
///
/// The app's data are 10 bytes: the index of the participant whose turn it is (0 or 1), then the nine fields of the
/// grid, row by row: 0 empty, 1 set by participant 0, 2 set by participant 1. Participant 0 begins with an empty
/// grid. The game ends with a line of three or a full grid; a draw leaves the balances as they are.
contract TicTacToe is IApp {
    uint256 private constant FIELDS = 9;

    function validTransition(Params calldata params, State calldata from, State calldata to, uint256 actorIdx)
        external
        pure
    {
        require(params.participants.length == 2, "two players");
        require(from.appData.length == FIELDS + 1 && to.appData.length == FIELDS + 1, "data length");
        bytes32 old = bytes32(from.appData);
        bytes32 next = bytes32(to.appData);
        require(uint8(old[0]) == actorIdx, "not your turn");
        require(uint8(next[0]) == 1 - actorIdx, "wrong next player");

        uint256 marks = 0;
        uint256 changed = 0;
        for (uint256 i = 1; i <= FIELDS; ++i) {
            uint8 field = uint8(next[i]);
            require(field <= 2, "invalid field");
            if (field != 0) ++marks;
            if (next[i] == old[i]) continue;
            require(old[i] == 0, "field is taken");
            require(field == actorIdx + 1, "not your mark");
            ++changed;
        }
        require(changed == 1, "set one mark");

        bool won = _hasLine(next, bytes1(uint8(actorIdx + 1)));
        require(to.isFinal == (won || marks == FIELDS), "wrong end of game");
        for (uint256 a = 0; a < to.outcome.balances.length; ++a) {
            uint256[] calldata before = from.outcome.balances[a];
            uint256[] calldata balances = to.outcome.balances[a];
            if (won) {
                require(balances[1 - actorIdx] == 0, "winner takes all");
            } else {
                require(balances[0] == before[0] && balances[1] == before[1], "balances changed");
            }
        }
    }

    function _hasLine(bytes32 data, bytes1 mark) private pure returns (bool) {
        // Bit i is set where field i has the mark; the lines' fields likewise.
        uint256 set = 0;
        for (uint256 i = 1; i <= FIELDS; ++i) {
            if (data[i] == mark) set |= 1 << i;
        }
        uint16[8] memory lines = [uint16(0x00e), 0x070, 0x380, 0x092, 0x124, 0x248, 0x222, 0x0a8];
        for (uint256 i = 0; i < lines.length; ++i) {
            if (set & lines[i] == lines[i]) return true;
        }
        return false;
    }
}
