// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Something in the place of an asset holder that misbehaves as told. For tests only.
contract HostileHolder {
    enum Mode {
        Obey,
        Revert,
        /// Uses up all gas.
        Burn,
        /// Reverts with a megabyte.
        Bomb
    }

    Mode public mode;
    uint256 public calls;

    constructor(Mode mode_) {
        mode = mode_;
    }

    function setMode(Mode mode_) external {
        mode = mode_;
    }

    fallback() external {
        if (mode == Mode.Revert) revert("not today");
        if (mode == Mode.Burn) while (true) {}
        if (mode == Mode.Bomb) {
            assembly {
                revert(0, 1000000)
            }
        }
        ++calls;
    }
}
