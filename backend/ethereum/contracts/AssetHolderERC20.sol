// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetHolder} from "./AssetHolder.sol";

/// @notice What is needed of an ERC20 token. Tokens whose functions return nothing are fine.
interface IERC20 {
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    function balanceOf(address owner) external view returns (uint256);
}

/// @notice Keeps an ERC20 token. A depositor approves this contract first.
///
/// Tokens that take a fee are refused at deposit if less than the amount arrives. Tokens that change balances by
/// themselves ("rebasing") must not be used: what they take is missing to whoever withdraws last.
contract AssetHolderERC20 is AssetHolder {
    address public immutable token;
    bool private transient _depositing;

    constructor(address adjudicator_, address token_) AssetHolder(adjudicator_) {
        token = token_;
    }

    /// @dev A token may call its holders back while it moves. A deposit inside a deposit is refused: both would
    /// see the same money arrive.
    function _take(uint256 amount) internal override {
        require(msg.value == 0, "message value must be 0 for token deposit");
        require(!_depositing, "reentrant deposit");
        _depositing = true;
        uint256 before = IERC20(token).balanceOf(address(this));
        bool ok = _call(abi.encodeCall(IERC20.transferFrom, (msg.sender, address(this), amount)), gasleft());
        require(ok, "transferFrom failed");
        uint256 afterwards = IERC20(token).balanceOf(address(this));
        require(afterwards >= before && afterwards - before >= amount, "token took a fee");
        _depositing = false;
    }

    /// @dev The token is the same for all payments: limiting its gas would protect nobody.
    function _send(address receiver, uint256 amount, uint256) internal override returns (bool) {
        return _call(abi.encodeCall(IERC20.transfer, (receiver, amount)), gasleft());
    }

    /// @dev Calls the token: true if it has code, does not revert, and returns true or nothing.
    function _call(bytes memory data, uint256 gasLimit) private returns (bool ok) {
        address token_ = token;
        assembly ("memory-safe") {
            ok := call(gasLimit, token_, 0, add(data, 0x20), mload(data), 0, 0x20)
            switch returndatasize()
            case 0 { ok := and(ok, iszero(iszero(extcodesize(token_)))) }
            default { ok := and(ok, and(gt(returndatasize(), 0x1f), eq(mload(0), 1))) }
        }
    }
}
