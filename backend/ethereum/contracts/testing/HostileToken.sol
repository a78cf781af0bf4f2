// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice A token that misbehaves as told. For tests only.
contract HostileToken {
    enum Mode {
        Honest,
        /// Moves, and returns nothing at all.
        ReturnNothing,
        /// Moves nothing, and returns false.
        ReturnFalse,
        /// Returns true, and moves nothing.
        Lie,
        /// Keeps a tenth of what it moves.
        Fee,
        Revert,
        /// Uses up all gas.
        Burn,
        /// Returns a megabyte.
        Bomb,
        /// Returns the number 2.
        ReturnTwo,
        /// Calls `target` with `data` before it moves.
        CallBack
    }

    Mode public mode;
    address public target;
    bytes public data;
    bool public calledBack;
    mapping(address owner => uint256) public balanceOf;

    function setMode(Mode mode_) external {
        mode = mode_;
    }

    function setCallBack(address target_, bytes calldata data_) external {
        mode = Mode.CallBack;
        target = target_;
        data = data_;
    }

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        return _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        Mode mode_ = mode;
        if (mode_ == Mode.Revert) revert("no transfers today");
        if (mode_ == Mode.Burn) while (true) {}
        if (mode_ == Mode.ReturnFalse) return false;
        if (mode_ == Mode.Lie) return true;
        if (mode_ == Mode.CallBack) {
            mode = Mode.Honest;
            (calledBack,) = target.call(data);
        }
        balanceOf[from] -= amount;
        balanceOf[to] += mode_ == Mode.Fee ? amount - amount / 10 : amount;
        if (mode_ == Mode.ReturnNothing) {
            assembly {
                return(0, 0)
            }
        }
        if (mode_ == Mode.Bomb) {
            assembly {
                return(0, 1000000)
            }
        }
        if (mode_ == Mode.ReturnTwo) {
            assembly {
                mstore(0, 2)
                return(0, 0x20)
            }
        }
        return true;
    }
}
