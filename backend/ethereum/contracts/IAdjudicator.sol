// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Params, SignedState, State} from "./Types.sol";

/// @notice Decides what a channel's outcome is, and has the asset holders pay it.
///
/// The first part is Perun's ABI of "generation 1", bit by bit. The second part is Perkunas' own; who doesn't know
/// it is not disturbed by it.
///
/// Anyone may call anything: what counts are signatures. The one exception saves gas: in `close` and
/// `concludeAndPay` a participant who sends the transaction needs no signature of its own (leave it empty).
///
/// Signatures are 65 bytes (r, s, v with v 27 or 28) or 64 bytes (EIP-2098), s in the lower half, over EIP-191
/// personal messages of 32 bytes ("\x19Ethereum Signed Message:\n32" before the hash).
interface IAdjudicator {
    // ---------------------------------------------------------------- generation 1

    /// @notice A channel's dispute changed. `phase` is 0 DISPUTE, 1 FORCEEXEC or 2 CONCLUDED.
    event ChannelUpdate(bytes32 indexed channelID, uint64 version, uint8 phase, uint64 timeout);

    /// @notice keccak256(abi.encode(params)).
    function channelID(Params calldata params) external pure returns (bytes32);

    /// @notice keccak256(abi.encode(state)).
    function hashState(State calldata state) external pure returns (bytes32);

    /// @notice What is stored about a channel. A dispute runs or ran if `timeout` is not zero. After a `checkpoint`
    /// all but `version` is zero; after `concludeFinal` of a channel that had no dispute, `stateHash` is zero, too.
    function disputes(bytes32 channelID)
        external
        view
        returns (
            uint64 timeout,
            uint64 challengeDuration,
            uint64 version,
            uint8 phase,
            bytes32 stateHash,
            bool hasApp
        );

    /// @notice Opens a dispute with a fully signed state of a ledger channel, or refutes an older one. `subChannels`
    /// are all descendants of the state, depth first. Registering what is registered already changes nothing.
    function register(SignedState calldata channel, SignedState[] calldata subChannels) external;

    /// @notice Forces one step of an app after the time for refutation, with the signature of the actor alone.
    function progress(
        Params calldata params,
        State calldata stateOld,
        State calldata state,
        uint256 actorIdx,
        bytes calldata sig
    ) external;

    /// @notice Ends a dispute whose time is over and sets the outcome. `subStates` are the registered states of all
    /// descendants, depth first, whose own time must be over, too.
    /// An asset that can't be settled does not stop the others: see `AssetFailed` and `settle`.
    function conclude(Params calldata params, State calldata state, State[] calldata subStates) external;

    /// @notice Sets the outcome of a final, fully signed state at once.
    function concludeFinal(Params calldata params, State calldata state, bytes[] calldata sigs) external;

    // ---------------------------------------------------------------- Perkunas

    /// @notice The holder of asset number `asset` of the concluded state refused: that asset is unsettled, and
    /// `settle` can be tried again.
    event AssetFailed(bytes32 indexed channelID, uint256 asset);

    /// @notice From now on nothing older than `version` can be registered, and no dispute is running.
    event Checkpoint(bytes32 indexed channelID, uint64 version);

    /// @notice The calldata of a `register` or `progress` that did not come straight from an externally owned
    /// account, in front of that call's `ChannelUpdate`s, because then the transaction does not show it.
    event ForwardedCall(bytes data);

    /// @notice Ends a channel whose participants agree, and pays everybody, in one transaction.
    ///
    /// The state must be final and lock nothing. Participant i signs
    /// keccak256(abi.encode(CLOSE, block.chainid, adjudicator, hashState(state), receivers[i])), see `closeHash`.
    /// That stands for its signature on the state and for its withdrawal of everything from every asset.
    /// A receiver of zero leaves the money in the holder, as does a payment that fails; `withdraw` gets it later.
    /// If the channel is not fully funded, everybody is paid his own deposit instead.
    ///
    /// Nothing is stored here if all assets obey: each holder marks the participants' deposits as closed, and accepts
    /// neither another outcome nor another deposit for them. Reverts if no asset obeys.
    function close(
        Params calldata params,
        State calldata state,
        address[] calldata receivers,
        bytes[] calldata sigs
    ) external;

    /// @notice As `conclude`, and pays those participants for whom there is an authorisation at once.
    ///
    /// Participant i signs keccak256(abi.encode(PAYOUT, block.chainid, adjudicator, channelID, receivers[i])), see
    /// `payoutHash`. A receiver of zero (signature empty) leaves that participant's money in the holder.
    function concludeAndPay(
        Params calldata params,
        State calldata state,
        State[] calldata subStates,
        address[] calldata receivers,
        bytes[] calldata sigs
    ) external;

    /// @notice Tries again to settle one asset of a concluded channel. Arguments as they were for `conclude`;
    /// after `concludeFinal` and `close` without `subStates`. If the asset was paid already, this gives back what was
    /// deposited since.
    function settle(Params calldata params, State calldata state, State[] calldata subStates, uint256 asset)
        external;

    /// @notice Ends a dispute with a newer, fully signed state that is not final: the channel goes on. Sub-channels
    /// and virtual channels are treated one by one in the same way. Also possible when no dispute is running.
    /// Afterwards `register` accepts this version and newer ones only.
    function checkpoint(SignedState calldata channel) external;

    /// @notice Whether a channel of one asset was settled by `concludeAndPay`. Asked by the holder.
    function isPaid(bytes32 channelID) external view returns (bool);

    /// @notice What a participant signs for `close`, before EIP-191. CLOSE is keccak256("Perkunas close 1").
    function closeHash(bytes32 stateHash, address receiver) external view returns (bytes32);

    /// @notice What a participant signs for `concludeAndPay` and for the holders' `withdrawAll`, before EIP-191.
    /// PAYOUT is keccak256("Perkunas payout 1"). It is good for everything that the participant has in that channel
    /// on this chain, and only for that receiver; so it needs neither nonce nor expiry.
    function payoutHash(bytes32 channelID, address receiver) external view returns (bytes32);
}
