// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Calls} from "./Calls.sol";
import {Canonical} from "./Canonical.sol";
import {CONCLUDED, DISPUTE, Dispute, FORCEEXEC, Head, Heads} from "./Disputes.sol";
import {IAdjudicator} from "./IAdjudicator.sol";
import {Lists} from "./Lists.sol";
import {Rules} from "./Rules.sol";
import {Signatures} from "./Signatures.sol";
import {Asset, Params, SignedState, State, SubAlloc} from "./Types.sol";

/// @notice Perun's adjudicator, and more: see IAdjudicator for what each function guarantees.
///
/// Holders, tokens and receivers of money are called last in each function, when everything is stored that keeps a
/// channel from being settled again; so it does not matter whom they call in turn.
contract Adjudicator is IAdjudicator {
    using Canonical for State;
    using Canonical for Asset[];
    using Lists for address[];
    using Lists for bytes[];

    /// How many steps of an app can be forced after one registration. Each gives the others one more challenge
    /// duration, so that without a limit a channel could be kept open for ever.
    uint256 private constant MAX_STEPS = 256;
    /// Gas for an app's decision about a step.
    uint256 private constant APP_GAS = 5_000_000;
    /// How deep sub-channels can be nested.
    uint256 private constant MAX_DEPTH = 8;

    mapping(bytes32 channelID => Dispute) private _disputes;

    // ---------------------------------------------------------------- views

    function channelID(Params calldata params) external pure returns (bytes32) {
        return keccak256(abi.encode(params));
    }

    function hashState(State calldata state) external pure returns (bytes32) {
        return keccak256(abi.encode(state));
    }

    function disputes(bytes32 id)
        external
        view
        returns (
            uint64 timeout,
            uint64 challengeDuration,
            uint64 version,
            uint8 phase,
            bytes32 stateHash,
            bool hasApp
        )
    {
        Head head = _disputes[id].head;
        return
            (head.timeout(), head.duration(), head.version(), head.phase(), _disputes[id].stateHash, head.hasApp());
    }

    function isPaid(bytes32 id) external view returns (bool) {
        return _disputes[id].head.isPaid();
    }

    function closeHash(bytes32 stateHash, address receiver) external view returns (bytes32) {
        return Signatures.closeHash(address(this), stateHash, receiver);
    }

    function payoutHash(bytes32 id, address receiver) external view returns (bytes32) {
        return Signatures.payoutHash(address(this), id, receiver);
    }

    // ---------------------------------------------------------------- register

    function register(SignedState calldata channel, SignedState[] calldata subChannels) external {
        require(channel.params.ledgerChannel, "not ledger");
        _showForwardedCall();
        _registerTree(channel, subChannels, 0, 0);
    }

    /// @dev Registers a channel and then its descendants, which start at `next`; returns where they end.
    function _registerTree(
        SignedState calldata channel,
        SignedState[] calldata subChannels,
        uint256 next,
        uint256 depth
    ) private returns (uint256) {
        State calldata state = channel.state;
        _registerOne(channel.params, state, channel.sigs);
        SubAlloc[] calldata locked = state.lockedOf();
        uint256 count = locked.length;
        if (count == 0) return next;
        require(depth < MAX_DEPTH, "too deep");
        require(count <= subChannels.length, "subChannels too short");
        for (uint256 i = 0; i < count; ++i) {
            SignedState calldata child = subChannels[next];
            require(child.state.channelID == locked[i].ID, "invalid sub-channel id");
            next = _registerTree(child, subChannels, next + 1, depth + 1);
            Rules.requireEqual(state.assetsOf(), child.state.assetsOf());
            Rules.requireChild(locked[i], child.state.outcome, child.params.participants.length);
        }
        return next;
    }

    function _registerOne(Params calldata params, State calldata state, bytes[] calldata sigs) private {
        (bytes32 id, address[] memory participants) = _requireChannel(params, state);
        bytes32 hash = state.hashed();
        Dispute storage dispute = _disputes[id];
        Head head = dispute.head;
        // The same state again was checked before.
        if (head.isRegistered() && dispute.stateHash == hash) return;
        _requireSigned(participants, hash, sigs);
        Rules.requireParticipants(participants);
        Rules.requireRegistrable(params, state, participants.length);

        uint64 version = state.version;
        // A refutation does not extend the time, and a final state can't be refuted.
        uint256 timeout = head.timeout();
        if (timeout == 0) {
            require(version >= head.version(), "invalid version");
            timeout = block.timestamp + params.challengeDuration;
        } else {
            require(version > head.version(), "invalid version");
            require(head.phase() == DISPUTE, "incorrect phase");
            require(block.timestamp < timeout, "refutation timeout passed");
        }
        if (state.isFinal) timeout = block.timestamp;
        _store(id, _head(params, timeout, version, DISPUTE, 0), hash);
    }

    // ---------------------------------------------------------------- progress

    function progress(
        Params calldata params,
        State calldata stateOld,
        State calldata state,
        uint256 actorIdx,
        bytes calldata sig
    ) external {
        bytes32 id = state.channelID;
        Head head = _disputes[id].head;
        require(head.isRegistered(), "not registered");
        if (head.phase() == DISPUTE) {
            require(block.timestamp >= head.timeout(), "timeout not passed");
        } else {
            require(head.phase() == FORCEEXEC, "invalid phase");
            require(block.timestamp < head.timeout(), "timeout passed");
        }
        require(head.hasApp(), "must have app");
        (, address[] memory participants) = _requireChannel(params, state);
        require(actorIdx < participants.length, "actorIdx out of range");
        require(stateOld.hashed() == _disputes[id].stateHash, "wrong old state");
        bytes32 hash = state.hashed();
        require(Signatures.signerOf(hash, sig) == participants[actorIdx], "invalid signature");
        Rules.requireStep(participants.length, stateOld, state);
        require(head.steps() < MAX_STEPS, "too many steps");
        _askApp(params, stateOld, state, actorIdx);

        _showForwardedCall();
        uint256 timeout = state.isFinal ? block.timestamp : block.timestamp + head.duration();
        _store(id, _head(params, timeout, state.version, FORCEEXEC, head.steps() + 1), hash);
    }

    /// @dev Static call of the app's `validTransition`.
    function _askApp(Params calldata params, State calldata stateOld, State calldata state, uint256 actorIdx)
        private
        view
    {
        address app = params.app;
        require(app.code.length != 0, "app without code");
        bytes memory data = Calls.validTransition(params, stateOld, state, actorIdx);
        assembly ("memory-safe") {
            if iszero(staticcall(APP_GAS, app, add(data, 0x20), mload(data), 0, 0)) {
                // The app's reason, as far as it has a sane length.
                let size := returndatasize()
                if gt(size, 1024) { size := 1024 }
                let buffer := mload(0x40)
                returndatacopy(buffer, 0, size)
                revert(buffer, size)
            }
        }
    }

    // ---------------------------------------------------------------- conclude

    function conclude(Params calldata params, State calldata state, State[] calldata subStates) external {
        (bytes32 id,) = _requireChannel(params, state);
        _conclude(id, params, state, subStates, false);
        _setOutcomes(id, params, state, subStates);
    }

    function concludeAndPay(
        Params calldata params,
        State calldata state,
        State[] calldata subStates,
        address[] calldata receivers,
        bytes[] calldata sigs
    ) external {
        (bytes32 id, address[] memory participants) = _requireChannel(params, state);
        _requireReceivers(participants, receivers, sigs, id, false);
        // If there is one asset only, this contract's own record is enough to keep it from being settled again.
        bool single = state.assetsOf().length == 1;
        _conclude(id, params, state, subStates, single);
        (, uint256 failed) = _pay(id, participants, state, subStates, receivers, !single);
        if (single && failed != 0) _disputes[id].head = _disputes[id].head.unpaid();
    }

    function settle(Params calldata params, State calldata state, State[] calldata subStates, uint256 asset)
        external
    {
        (bytes32 id, address[] memory participants) = _requireChannel(params, state);
        require(params.ledgerChannel, "not ledger");
        _requireConcluded(state);
        _requireAllConcluded(state, subStates, 0);
        require(asset < state.assetsOf().length, "no such asset");
        Asset calldata toSettle = state.assetsOf().assetAt(asset);
        require(_isOurs(toSettle), "not an asset of this chain");
        // If all was paid, whatever has come since then is a late deposit, which an outcome of nothing gives back.
        uint256[] memory outcome = new uint256[](participants.length);
        if (!_disputes[id].head.isPaid()) (outcome,) = _outcomeOf(state, subStates, 0, asset);
        require(_setOutcome(id, params, toSettle, outcome, gasleft()), "asset failed");
    }

    /// @dev Turns a dispute whose time is over into a conclusion, descendants included.
    function _conclude(
        bytes32 id,
        Params calldata params,
        State calldata state,
        State[] calldata subStates,
        bool paid
    ) private {
        require(params.ledgerChannel, "not ledger");
        Dispute storage dispute = _disputes[id];
        Head head = dispute.head;
        require(head.isRegistered(), "not registered");
        require(state.hashed() == dispute.stateHash, "invalid state");
        require(head.phase() != CONCLUDED, "already concluded");
        uint64 timeout = head.timeout();
        // After the time for refutation comes one in which the app's next step can be forced.
        if (head.phase() == DISPUTE && head.hasApp()) timeout += head.duration();
        _concludeOne(id, head, timeout, paid);
        _concludeChildren(state, subStates, 0);
    }

    /// @dev Concludes the descendants of a state, which start in `subStates` at `next`; returns where they end. Each
    /// must be registered with the state given, and its own time must be over.
    function _concludeChildren(State calldata state, State[] calldata subStates, uint256 next)
        private
        returns (uint256)
    {
        SubAlloc[] calldata locked = state.lockedOf();
        for (uint256 i = 0; i < locked.length; ++i) {
            State calldata child = subStates[next];
            bytes32 id = child.channelID;
            require(id == locked[i].ID, "invalid subchannel id");
            Head head = _disputes[id].head;
            require(head.isRegistered(), "not registered");
            require(child.hashed() == _disputes[id].stateHash, "invalid state");
            if (head.phase() != CONCLUDED) _concludeOne(id, head, head.timeout(), false);
            next = _concludeChildren(child, subStates, next + 1);
        }
        return next;
    }

    function _concludeOne(bytes32 id, Head head, uint64 timeout, bool paid) private {
        require(block.timestamp >= timeout, "timeout not passed yet");
        _disputes[id].head = head.concluded(timeout, paid);
        emit ChannelUpdate(id, head.version(), CONCLUDED, timeout);
    }

    /// @dev The state is that with which its channel was concluded.
    function _requireConcluded(State calldata state) private view {
        Dispute storage dispute = _disputes[state.channelID];
        Head head = dispute.head;
        require(head.isRegistered() && head.phase() == CONCLUDED, "not concluded");
        require(state.hashed() == dispute.stateHash, "invalid state");
    }

    /// @dev As `_concludeChildren` for descendants that are concluded already.
    function _requireAllConcluded(State calldata state, State[] calldata subStates, uint256 next)
        private
        view
        returns (uint256)
    {
        SubAlloc[] calldata locked = state.lockedOf();
        for (uint256 i = 0; i < locked.length; ++i) {
            State calldata child = subStates[next];
            require(child.channelID == locked[i].ID, "invalid subchannel id");
            _requireConcluded(child);
            next = _requireAllConcluded(child, subStates, next + 1);
        }
        return next;
    }

    // ---------------------------------------------------------------- final states

    function concludeFinal(Params calldata params, State calldata state, bytes[] calldata sigs) external {
        (bytes32 id, bytes32 hash, address[] memory participants) = _requireFinal(params, state);
        _requireSigned(participants, hash, sigs);
        Dispute storage dispute = _disputes[id];
        Head head = dispute.head;
        _requireNotOutdated(head, state);
        Head concluded = _head(params, block.timestamp, state.version, CONCLUDED, 0);
        dispute.head = concluded;
        // Without a dispute nobody asks for the hash, so it is only stored if an asset has to be settled later.
        bool known = head.isRegistered();
        if (known) dispute.stateHash = hash;
        emit ChannelUpdate(id, state.version, CONCLUDED, concluded.timeout());
        if (!_setOutcomes(id, params, state, _none()) && !known) dispute.stateHash = hash;
    }

    function close(
        Params calldata params,
        State calldata state,
        address[] calldata receivers,
        bytes[] calldata sigs
    ) external {
        (bytes32 id, bytes32 hash, address[] memory participants) = _requireFinal(params, state);
        _requireReceivers(participants, receivers, sigs, hash, true);
        Head head = _disputes[id].head;
        _requireNotOutdated(head, state);
        emit ChannelUpdate(id, state.version, CONCLUDED, uint64(block.timestamp));
        (uint256 paid, uint256 failed) = _pay(id, participants, state, _none(), receivers, true);
        require(paid != 0, "no asset settled");
        // What the holders have marked is enough to keep anybody from being paid again. Here it is noted if there
        // is something to correct, or if an asset must be settled later.
        if (!head.isEmpty() || failed != 0) {
            _disputes[id].head = _head(params, block.timestamp, state.version, CONCLUDED, 0);
            _disputes[id].stateHash = hash;
        }
    }

    /// @dev A ledger channel's final state that locks nothing.
    function _requireFinal(Params calldata params, State calldata state)
        private
        pure
        returns (bytes32 id, bytes32 hash, address[] memory participants)
    {
        require(params.ledgerChannel, "not ledger");
        require(state.isFinal, "state not final");
        hash = state.hashed();
        require(state.lockedOf().length == 0, "has sub-channels");
        (id, participants) = _requireChannel(params, state);
        Rules.requireParticipants(participants);
        Rules.requireDimensions(state, participants.length);
    }

    /// @dev A final state can end any dispute but one over a state that is newer and signed by all, too.
    function _requireNotOutdated(Head head, State calldata state) private pure {
        if (head.isEmpty()) return;
        require(!head.isRegistered() || head.phase() != CONCLUDED, "concluded already");
        require(uint256(state.version) + head.steps() >= head.version(), "invalid version");
    }

    // ---------------------------------------------------------------- checkpoint

    function checkpoint(SignedState calldata channel) external {
        Params calldata params = channel.params;
        State calldata state = channel.state;
        (bytes32 id, address[] memory participants) = _requireChannel(params, state);
        uint64 version = state.version;
        require(!state.isFinal, "state is final");
        _requireSigned(participants, state.hashed(), channel.sigs);
        Rules.requireParticipants(participants);
        Rules.requireRegistrable(params, state, participants.length);
        Head head = _disputes[id].head;
        require(!head.isRegistered() || head.phase() != CONCLUDED, "already concluded");
        require(version > head.version(), "invalid version");
        _disputes[id].head = Heads.pack(0, 0, version, 0, false, 0);
        _disputes[id].stateHash = 0;
        emit Checkpoint(id, version);
    }

    // ---------------------------------------------------------------- settlement

    /// @dev Sets the outcome of all assets of this chain; returns whether all holders obeyed.
    function _setOutcomes(bytes32 id, Params calldata params, State calldata state, State[] calldata subStates)
        private
        returns (bool all)
    {
        Asset[] calldata assets = state.assetsOf();
        uint256 count = assets.length;
        all = true;
        for (uint256 a = 0; a < count; ++a) {
            Asset calldata asset = assets.assetAt(a);
            if (!_isOurs(asset)) continue;
            (uint256[] memory outcome,) = _outcomeOf(state, subStates, 0, a);
            if (!_setOutcome(id, params, asset, outcome, _share(count - a))) {
                all = false;
                emit AssetFailed(id, a);
            }
        }
    }

    function _setOutcome(
        bytes32 id,
        Params calldata params,
        Asset calldata asset,
        uint256[] memory outcome,
        uint256 gasLimit
    ) private returns (bool) {
        return _call(asset.ethHolder, Calls.setOutcome(id, params, outcome), gasLimit);
    }

    /// @dev Settles all assets of this chain and pays who has a receiver; returns how many holders obeyed or didn't.
    function _pay(
        bytes32 id,
        address[] memory participants,
        State calldata state,
        State[] calldata subStates,
        address[] calldata receivers,
        bool mark
    ) private returns (uint256 paid, uint256 failed) {
        Asset[] calldata assets = state.assetsOf();
        uint256 count = assets.length;
        for (uint256 a = 0; a < count; ++a) {
            Asset calldata asset = assets.assetAt(a);
            if (!_isOurs(asset)) continue;
            (uint256[] memory outcome,) = _outcomeOf(state, subStates, 0, a);
            bytes memory data = Calls.settleAndPay(id, participants, outcome, receivers, mark);
            if (_call(asset.ethHolder, data, _share(count - a))) {
                ++paid;
            } else {
                ++failed;
                emit AssetFailed(id, a);
            }
        }
    }

    /// @dev Each participant's share of an asset: its own balance and what it has in descendants, which start in
    /// `subStates` at `next`. Returns where they end, too.
    function _outcomeOf(State calldata state, State[] calldata subStates, uint256 next, uint256 asset)
        private
        pure
        returns (uint256[] memory outcome, uint256)
    {
        outcome = state.rowAt(asset);
        SubAlloc[] calldata locked = state.lockedOf();
        uint256 count = locked.length;
        for (uint256 i = 0; i < count; ++i) {
            uint256[] memory inner;
            (inner, next) = _outcomeOf(subStates[next], subStates, next + 1, asset);
            uint16[] calldata indexMap = locked[i].indexMap;
            for (uint256 p = 0; p < inner.length; ++p) {
                outcome[indexMap[p]] += inner[p];
            }
        }
        return (outcome, next);
    }

    function _isOurs(Asset calldata asset) private view returns (bool) {
        return asset.chainID == block.chainid && asset.ethHolder != address(0);
    }

    /// @dev The gas that one of several holders may use up, so that the last one still has enough.
    function _share(uint256 holders) private view returns (uint256) {
        return gasleft() / holders;
    }

    /// @dev Calls a holder: true if it has code and does not revert. What it returns is not copied.
    function _call(address holder, bytes memory data, uint256 gasLimit) private returns (bool ok) {
        assembly ("memory-safe") {
            if extcodesize(holder) { ok := call(gasLimit, holder, 0, add(data, 0x20), mload(data), 0, 0) }
        }
    }

    function _none() private pure returns (State[] calldata none) {
        assembly ("memory-safe") {
            none.offset := 0
            none.length := 0
        }
    }

    // ---------------------------------------------------------------- shared checks and storing

    function _requireChannel(Params calldata params, State calldata state)
        private
        pure
        returns (bytes32 id, address[] memory participants)
    {
        (id, participants) = Canonical.channelID(params);
        require(id == state.channelID, "invalid params");
    }

    function _requireSigned(address[] memory participants, bytes32 hash, bytes[] calldata sigs) private pure {
        uint256 count = sigs.length;
        require(participants.length == count, "signatures length mismatch");
        bytes32 digest = Signatures.digestOf(hash);
        for (uint256 i = 0; i < count; ++i) {
            require(Signatures.signer(digest, sigs.get(i)) == participants.get(i), "invalid signature");
        }
    }

    /// @dev Each participant agrees to its receiver: for `close` under the state's hash, for a payout under the
    /// channel's ID and only if there is a receiver.
    function _requireReceivers(
        address[] memory participants,
        address[] calldata receivers,
        bytes[] calldata sigs,
        bytes32 subject,
        bool closing
    ) private view {
        uint256 count = participants.length;
        require(count == receivers.length, "receivers length mismatch");
        require(count == sigs.length, "signatures length mismatch");
        for (uint256 i = 0; i < count; ++i) {
            address participant = participants.get(i);
            address receiver = receivers.given(i);
            bytes calldata sig = sigs.get(i);
            if (sig.length == 0 && (msg.sender == participant || (receiver == address(0) && !closing))) continue;
            bytes32 hash = closing
                ? Signatures.closeHash(address(this), subject, receiver)
                : Signatures.payoutHash(address(this), subject, receiver);
            require(Signatures.signerOf(hash, sig) == participant, "invalid signature");
        }
    }

    function _head(Params calldata params, uint256 timeout, uint64 version, uint8 phase, uint256 steps)
        private
        pure
        returns (Head)
    {
        return Heads.pack(timeout, params.challengeDuration, version, phase, params.app != address(0), steps);
    }

    function _store(bytes32 id, Head head, bytes32 hash) private {
        _disputes[id] = Dispute(head, hash);
        emit ChannelUpdate(id, head.version(), head.phase(), head.timeout());
    }

    /// @dev A call through another contract is not the calldata of its transaction, where watchers look first. An
    /// account with code of its own (EIP-7702) may call from within its own transaction.
    function _showForwardedCall() private {
        if (msg.sender != tx.origin || msg.sender.code.length != 0) emit ForwardedCall(msg.data);
    }
}
