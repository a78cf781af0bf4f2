// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice A contract that receives ether, and can be told to refuse it or to call back. It also forwards calls, as
/// wallet contracts do. For tests only.
contract ContractWallet {
    enum Mode {
        /// Keeps a count of what it received, for which 2300 gas do not suffice.
        Count,
        Refuse,
        /// Uses up all gas.
        Burn,
        /// Calls `target` with `data`.
        CallBack
    }

    Mode public mode;
    uint256 public received;
    address public target;
    bytes public data;
    bool public calledBack;

    function setMode(Mode mode_) external {
        mode = mode_;
    }

    function setCallBack(address target_, bytes calldata data_) external {
        mode = Mode.CallBack;
        target = target_;
        data = data_;
    }

    function forward(address to, bytes calldata data_) external payable {
        (bool ok, bytes memory answer) = to.call{value: msg.value}(data_);
        if (!ok) {
            assembly {
                revert(add(answer, 0x20), mload(answer))
            }
        }
    }

    receive() external payable {
        if (mode == Mode.Refuse) revert("no, thanks");
        if (mode == Mode.Burn) while (true) {}
        received += msg.value;
        if (mode == Mode.CallBack) (calledBack,) = target.call(data);
    }
}
