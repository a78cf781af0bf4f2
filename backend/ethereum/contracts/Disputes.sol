// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What is stored about a channel: two words.
struct Dispute {
    Head head;
    /// Hash of the registered state.
    bytes32 stateHash;
}

/// @notice Everything about a dispute but the hash, in one word:
///
///     bits   0 to  63  timeout: when the current phase ends, in Unix time. Zero: no dispute is registered
///     bits  64 to 127  challenge duration
///     bits 128 to 191  version of the registered state; without dispute the lowest that may be registered
///     bits 192 to 199  phase
///     bit  200         has an app
///     bit  201         paid out: the only asset was settled by `settleAndPay`, its holder keeps no mark of that
///     bits 208 to 223  steps that were forced: the registered state is so many versions newer than one that all
///                      have signed
type Head is uint256;

uint8 constant DISPUTE = 0;
uint8 constant FORCEEXEC = 1;
uint8 constant CONCLUDED = 2;

using Heads for Head global;

library Heads {
    uint256 private constant PAID = 1 << 201;

    function pack(uint256 timeout_, uint256 duration_, uint64 version_, uint8 phase_, bool hasApp_, uint256 steps_)
        internal
        pure
        returns (Head)
    {
        return Head.wrap(
            uint64(timeout_) | uint256(uint64(duration_)) << 64 | uint256(version_) << 128 | uint256(phase_) << 192
                | (hasApp_ ? uint256(1) << 200 : 0) | uint256(uint16(steps_)) << 208
        );
    }

    /// @notice The same dispute, concluded, and with another timeout.
    function concluded(Head head, uint64 timeout_, bool paid_) internal pure returns (Head) {
        uint256 kept = Head.unwrap(head) & ~(uint256(0xff) << 192 | type(uint64).max);
        return Head.wrap(kept | timeout_ | uint256(CONCLUDED) << 192 | (paid_ ? PAID : 0));
    }

    /// @notice The same dispute, not paid out after all.
    function unpaid(Head head) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(head) & ~PAID);
    }

    function isPaid(Head head) internal pure returns (bool) {
        return Head.unwrap(head) & PAID != 0;
    }

    function isEmpty(Head head) internal pure returns (bool) {
        return Head.unwrap(head) == 0;
    }

    function isRegistered(Head head) internal pure returns (bool) {
        return head.timeout() != 0;
    }

    function timeout(Head head) internal pure returns (uint64) {
        return uint64(Head.unwrap(head));
    }

    function duration(Head head) internal pure returns (uint64) {
        return uint64(Head.unwrap(head) >> 64);
    }

    function version(Head head) internal pure returns (uint64) {
        return uint64(Head.unwrap(head) >> 128);
    }

    function phase(Head head) internal pure returns (uint8) {
        return uint8(Head.unwrap(head) >> 192);
    }

    function hasApp(Head head) internal pure returns (bool) {
        return Head.unwrap(head) >> 200 & 1 == 1;
    }

    function steps(Head head) internal pure returns (uint16) {
        return uint16(Head.unwrap(head) >> 208);
    }
}
