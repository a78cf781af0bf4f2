// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Participant} from "./Types.sol";

/// @notice Generation 1's permission to take `amount` out of a participant's holdings. It is bound neither to a
/// holder nor to a chain and can be used again: sign the whole holdings only.
struct WithdrawalAuth {
    bytes32 channelID;
    Participant participant;
    address receiver;
    uint256 amount;
}

/// @notice Permission to take `amount` out of a participant's holdings once, here, until `deadline`.
struct Withdrawal {
    bytes32 channelID;
    address participant;
    address receiver;
    uint256 amount;
    /// Any number that the participant has not used in a withdrawal from this holder.
    uint256 nonce;
    /// Last second, in Unix time, in which it is good.
    uint256 deadline;
}

/// @notice What must be held for a participant before a deposit is made.
struct Expectation {
    address participant;
    uint256 atLeast;
}

/// @notice Keeps one asset for the channels of one adjudicator. The first part is Perun's ABI of "generation 1";
/// the second part is Perkunas' own.
///
/// Whatever is asked of it, a channel gets no more out than was put in for it. A participant's funding ID is
/// keccak256(abi.encode(channelID, ethAddress)).
interface IAssetHolder {
    // ---------------------------------------------------------------- generation 1

    event Deposited(bytes32 indexed fundingID, uint256 amount);
    event OutcomeSet(bytes32 indexed channelID);
    event Withdrawn(bytes32 indexed fundingID, uint256 amount, address receiver);

    function adjudicator() external view returns (address);

    /// @notice What is held for a funding ID: before settlement what was deposited, afterwards what can be withdrawn.
    function holdings(bytes32 fundingID) external view returns (uint256);

    /// @notice Whether the outcome came by `setOutcome`. See `isSettled` for channels that were paid out at once.
    function settled(bytes32 channelID) external view returns (bool);

    /// @notice Adds to a funding ID's holdings; at most 2^112 - 1 may be held for one.
    function deposit(bytes32 fundingID, uint256 amount) external payable;

    /// @notice Sets, once, what each participant of a channel can withdraw. For the adjudicator only. If less is
    /// held than the balances demand, everybody keeps his own deposit; if more, the surplus goes to the depositor.
    function setOutcome(bytes32 channelID, Participant[] calldata parts, uint256[] calldata newBals) external;

    /// @notice Pays out of a settled channel.
    function withdraw(WithdrawalAuth calldata authorization, bytes calldata signature) external;

    // ---------------------------------------------------------------- Perkunas

    /// @notice A payment that was one of several failed: the amount stays in the participant's holdings.
    event PaymentFailed(bytes32 indexed fundingID, uint256 amount, address receiver);

    /// @notice Whether what is held for a participant is his to withdraw. After `close` and `concludeAndPay` that is
    /// so for at least one participant who had a deposit, and for all to whom something is left; see
    /// `confirmSettled`.
    function isSettled(bytes32 channelID, address participant) external view returns (bool);

    /// @notice Deposits for a participant of a channel unless that is a mistake: reverts if the channel is settled,
    /// if more than `maxHeld` is held for him already, or if less than expected is held for any of `others`.
    function depositExpecting(
        bytes32 channelID,
        address participant,
        uint256 amount,
        uint256 maxHeld,
        Expectation[] calldata others
    ) external payable;

    /// @notice Makes several deposits at once.
    function depositBatch(bytes32[] calldata fundingIDs, uint256[] calldata amounts) external payable;

    /// @notice Makes several withdrawals of the old kind. Reverts if one is not allowed; a payment that fails only
    /// stays in the holdings.
    function withdrawBatch(WithdrawalAuth[] calldata authorizations, bytes[] calldata signatures) external;

    /// @notice Pays everything that is held for some participants of a settled channel. Each signs the adjudicator's
    /// `payoutHash`; who sends the transaction may leave its own signature empty. A payment that fails stays in the
    /// holdings.
    function withdrawAll(
        bytes32 channelID,
        address[] calldata participants,
        address[] calldata receivers,
        bytes[] calldata sigs
    ) external;

    /// @notice Pays out of a settled channel, once. The participant signs
    /// keccak256(abi.encode(WITHDRAWAL, block.chainid, holder, withdrawal)), see `withdrawalHash`.
    function withdrawOnce(Withdrawal calldata withdrawal, bytes calldata sig) external;

    /// @notice What a participant signs for `withdrawOnce`, before EIP-191. WITHDRAWAL is
    /// keccak256("Perkunas withdrawal 1").
    function withdrawalHash(Withdrawal calldata withdrawal) external view returns (bytes32);

    /// @notice Whether a participant's nonce was used in `withdrawOnce`.
    function nonceUsed(address participant, uint256 nonce) external view returns (bool);

    /// @notice Makes `settled(channelID)` true if the channel was paid out at once, which `participant`, one with
    /// `isSettled`, shows. That sets free what others of its participants have deposited too late, and gives `participant`
    /// what was deposited for the channel's own ID, which is nobody's.
    function confirmSettled(bytes32 channelID, address participant) external;

    /// @notice Sets a channel's outcome, once, and pays it to those participants who have a receiver. For the
    /// adjudicator only. Same rules as `setOutcome`; a payment that fails stays in the holdings. The
    /// adjudicator must not call it for a channel for which it has called `setOutcome`. With
    /// `mark`, the holder remembers that the channel is settled; without, the adjudicator does, see its `isPaid`.
    function settleAndPay(
        bytes32 channelID,
        address[] calldata participants,
        uint256[] calldata balances,
        address[] calldata receivers,
        bool mark
    ) external;
}
