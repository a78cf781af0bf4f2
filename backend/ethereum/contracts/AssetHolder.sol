// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAdjudicator} from "./IAdjudicator.sol";
import {Expectation, IAssetHolder, Withdrawal, WithdrawalAuth} from "./IAssetHolder.sol";
import {Lists} from "./Lists.sol";
import {Rules} from "./Rules.sol";
import {Signatures} from "./Signatures.sol";
import {Participant} from "./Types.sol";

/// @notice What all asset holders have in common; a holder of a kind of asset says how to take and to send it.
///
/// One word is stored for each funding ID:
///
///     bits   0 to 127  amount held
///     bits 128 to 254  amount of the first deposit, while the channel is not settled
///     bit  255         closed: the channel was paid out at once, what is left is the participant's
///
/// A channel is settled when `settled` says so (`setOutcome`); or when one of its participants' words is closed
/// (`settleAndPay` with a mark, which so spares the price of a word for the channel); or when the adjudicator has a
/// record of that (`settleAndPay` without). Each keeps a channel from being settled again even if somebody deposits
/// later.
abstract contract AssetHolder is IAssetHolder {
    using Lists for uint256[];
    using Lists for bytes32[];
    using Lists for address[];

    /// The most that can be held for one funding ID by deposits. 2^16 such amounts fit the amount's bits.
    uint256 private constant MAX_DEPOSIT = type(uint112).max;
    uint256 private constant AMOUNT = type(uint128).max;
    uint256 private constant CLOSED = 1 << 255;

    /// Gas for one of several payments. A receiver that needs more gets its money by a withdrawal of its own.
    uint256 internal constant PAYMENT_GAS = 50_000;

    address public immutable adjudicator;
    mapping(bytes32 channelID => bool) public settled;
    mapping(bytes32 fundingID => uint256 word) private _words;
    mapping(address participant => mapping(uint256 index => uint256 bits)) private _nonces;

    constructor(address adjudicator_) {
        adjudicator = adjudicator_;
    }

    modifier onlyAdjudicator() {
        require(msg.sender == adjudicator, "can only be called by the adjudicator");
        _;
    }

    // ---------------------------------------------------------------- the asset

    /// @dev Takes `amount` from the sender of the transaction or reverts.
    function _take(uint256 amount) internal virtual;

    /// @dev Sends `amount` to `receiver` with at most `gasLimit` gas and returns whether it arrived.
    function _send(address receiver, uint256 amount, uint256 gasLimit) internal virtual returns (bool);

    // ---------------------------------------------------------------- views

    function holdings(bytes32 fundingID) external view returns (uint256) {
        return _words[fundingID] & AMOUNT;
    }

    function isSettled(bytes32 channelID, address participant) external view returns (bool) {
        return _isSettled(channelID, _words[_fundingID(channelID, participant)]);
    }

    function nonceUsed(address participant, uint256 nonce) external view returns (bool) {
        return (_nonces[participant][nonce >> 8] >> (nonce & 255)) & 1 == 1;
    }

    function withdrawalHash(Withdrawal calldata withdrawal) public view returns (bytes32) {
        return keccak256(abi.encode(Signatures.WITHDRAWAL, block.chainid, address(this), withdrawal));
    }

    // ---------------------------------------------------------------- deposits

    function deposit(bytes32 fundingID, uint256 amount) external payable {
        _credit(fundingID, _words[fundingID], amount);
        _take(amount);
    }

    function depositExpecting(
        bytes32 channelID,
        address participant,
        uint256 amount,
        uint256 maxHeld,
        Expectation[] calldata others
    ) external payable {
        bytes32 fundingID = _fundingID(channelID, participant);
        uint256 word = _words[fundingID];
        require(!_isSettled(channelID, word), "channel settled");
        require(word & AMOUNT <= maxHeld, "holdings above expectation");
        for (uint256 i = 0; i < others.length; ++i) {
            uint256 other = _words[_fundingID(channelID, others[i].participant)];
            require(other & CLOSED == 0, "channel settled");
            require(other & AMOUNT >= others[i].atLeast, "holdings below expectation");
        }
        _credit(fundingID, word, amount);
        _take(amount);
    }

    function depositBatch(bytes32[] calldata fundingIDs, uint256[] calldata amounts) external payable {
        require(fundingIDs.length == amounts.length, "lengths differ");
        uint256 total = 0;
        for (uint256 i = 0; i < fundingIDs.length; ++i) {
            total += amounts[i];
            _credit(fundingIDs[i], _words[fundingIDs[i]], amounts[i]);
        }
        _take(total);
    }

    /// @dev A deposit after a channel was closed could not be meant, and is refused where it can be seen.
    function _credit(bytes32 fundingID, uint256 word, uint256 amount) private {
        require(word & CLOSED == 0, "channel settled");
        uint256 held = (word & AMOUNT) + amount;
        require(held <= MAX_DEPOSIT, "amount too large");
        _words[fundingID] = word == 0 ? amount << 128 | amount : word + amount;
        emit Deposited(fundingID, amount);
    }

    // ---------------------------------------------------------------- settlement

    function setOutcome(bytes32 channelID, Participant[] calldata parts, uint256[] calldata newBals)
        external
        onlyAdjudicator
    {
        uint256 count = parts.length;
        require(count == newBals.length, "participants length should equal balances");
        require(!settled[channelID], "trying to set already settled channel");
        settled[channelID] = true;
        address[] memory participants = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            participants[i] = parts[i].ethAddress;
        }
        (bytes32[] memory ids, uint256[] memory words, uint256 held, bool closed) = _read(channelID, participants);
        uint256 direct = _words[channelID];
        if (direct != 0) _words[channelID] = 0;
        direct &= AMOUNT;
        if (closed) {
            // Paid out already. Now that the channel is settled in this way, too, also those can withdraw a late
            // deposit whose own word is not marked.
            if (direct != 0 && count != 0) _words[ids[0]] += direct;
        } else {
            (uint256[] memory due,) = _due(words, newBals, held, direct);
            for (uint256 i = 0; i < count; ++i) {
                if (words[i] & AMOUNT != due[i]) _words[ids[i]] = due[i];
            }
        }
        emit OutcomeSet(channelID);
    }

    function settleAndPay(
        bytes32 channelID,
        address[] calldata participants,
        uint256[] calldata balances,
        address[] calldata receivers,
        bool mark
    ) external onlyAdjudicator {
        uint256 count = participants.length;
        require(count == balances.length && count == receivers.length, "lengths differ");
        (bytes32[] memory ids, uint256[] memory words, uint256 held, bool closed) = _read(channelID, participants);
        require(!closed, "trying to set already settled channel");
        // Funds of the channel's own ID are only looked for if they are needed, or else paid by a later `setOutcome`.
        (uint256[] memory due, bool funded) = _due(words, balances, held, 0);
        uint256 direct = funded ? 0 : _words[channelID] & AMOUNT;
        if (direct != 0) {
            (due,) = _due(words, balances, held, direct);
            _words[channelID] = 0;
        }
        // All words are final before the first payment: whoever is called then finds a settled channel. One mark is
        // enough to know that; others are needed only where money stays.
        for (uint256 i = 0; i < count; ++i) {
            uint256 word = words.get(i);
            uint256 left = receivers.given(i) == address(0) ? due.get(i) : 0;
            if (mark && (word | direct) != 0) {
                mark = false;
                left |= CLOSED;
            } else if (left != 0) {
                left |= CLOSED;
            }
            if (word != left) _words[ids.get(i)] = left;
        }
        for (uint256 i = 0; i < count; ++i) {
            address receiver = receivers.given(i);
            uint256 amount = due.get(i);
            if (receiver != address(0) && amount != 0) _payOrKeep(ids.get(i), amount, receiver);
        }
    }

    function confirmSettled(bytes32 channelID, address participant) external {
        bytes32 id = _fundingID(channelID, participant);
        uint256 word = _words[id];
        require(word & CLOSED != 0, "channel not settled");
        settled[channelID] = true;
        uint256 direct = _words[channelID] & AMOUNT;
        if (direct != 0) {
            _words[channelID] = 0;
            _words[id] = word + direct;
        }
    }

    /// @dev The words of distinct participants, how much they hold, and whether the channel was closed.
    function _read(bytes32 channelID, address[] memory participants)
        private
        view
        returns (bytes32[] memory ids, uint256[] memory words, uint256 held, bool closed)
    {
        uint256 count = participants.length;
        ids = new bytes32[](count);
        words = new uint256[](count);
        uint256 marks = 0;
        // Each word has at most 128 bits of amount: the sum can't overflow.
        unchecked {
            for (uint256 i = 0; i < count; ++i) {
                address participant = participants.get(i);
                Rules.requireNotAmong(participants, i, participant);
                bytes32 id = _fundingID(channelID, participant);
                uint256 word = _words[id];
                ids.put(i, id);
                words.put(i, word);
                held += word & AMOUNT;
                marks |= word;
            }
        }
        closed = marks & CLOSED != 0;
    }

    /// @dev What each participant is due, given what is held for them and directly for the channel: in sum never more
    /// than that. `funded` tells whether the balances could be met.
    function _due(uint256[] memory words, uint256[] memory balances, uint256 held, uint256 direct)
        private
        pure
        returns (uint256[] memory due, bool funded)
    {
        uint256 count = words.length;
        uint256 wanted = 0;
        held += direct;
        unchecked {
            for (uint256 i = 0; i < count; ++i) {
                uint256 balance = balances.get(i);
                wanted += balance;
                // On overflow: that much is never held.
                if (wanted < balance) return (_deposits(words, direct), false);
            }
        }
        if (held < wanted) return (_deposits(words, direct), false);
        due = balances;
        if (held > wanted) _returnSurplus(words, due, held - wanted);
        return (due, true);
    }

    /// @dev Everybody's own deposit. What belongs to nobody is the first participant's.
    function _deposits(uint256[] memory words, uint256 direct) private pure returns (uint256[] memory due) {
        uint256 count = words.length;
        due = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            due[i] = words[i] & AMOUNT;
        }
        if (count != 0) due[0] += direct;
    }

    /// @dev Adds the surplus to what its depositors are due: first to those who deposited more than once, as far as
    /// the later deposits go; then to those who deposited more than they get; the rest, which came by funding the
    /// channel's ID itself, to the first participant.
    function _returnSurplus(uint256[] memory words, uint256[] memory due, uint256 surplus) private pure {
        uint256 count = words.length;
        uint256[] memory deposits = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            deposits[i] = words[i] & AMOUNT;
            uint256 first = (words[i] & ~CLOSED) >> 128;
            if (first >= deposits[i]) continue;
            uint256 share = _min(surplus, deposits[i] - first);
            due[i] += share;
            surplus -= share;
        }
        for (uint256 i = 0; i < count && surplus != 0; ++i) {
            if (due[i] >= deposits[i]) continue;
            uint256 share = _min(surplus, deposits[i] - due[i]);
            due[i] += share;
            surplus -= share;
        }
        if (surplus != 0 && count != 0) due[0] += surplus;
    }

    // ---------------------------------------------------------------- withdrawals

    function withdraw(WithdrawalAuth calldata authorization, bytes calldata signature) external {
        bytes32 id = _debitSigned(authorization, signature);
        _pay(id, authorization.amount, authorization.receiver);
    }

    function withdrawBatch(WithdrawalAuth[] calldata authorizations, bytes[] calldata signatures) external {
        require(authorizations.length == signatures.length, "lengths differ");
        for (uint256 i = 0; i < authorizations.length; ++i) {
            bytes32 id = _debitSigned(authorizations[i], signatures[i]);
            _payOrKeep(id, authorizations[i].amount, authorizations[i].receiver);
        }
    }

    function withdrawAll(
        bytes32 channelID,
        address[] calldata participants,
        address[] calldata receivers,
        bytes[] calldata sigs
    ) external {
        require(participants.length == receivers.length && participants.length == sigs.length, "lengths differ");
        for (uint256 i = 0; i < participants.length; ++i) {
            address participant = participants[i];
            address receiver = receivers[i];
            if (msg.sender != participant || sigs[i].length != 0) {
                bytes32 hash = Signatures.payoutHash(adjudicator, channelID, receiver);
                require(Signatures.signerOf(hash, sigs[i]) == participant, "signature verification failed");
            }
            bytes32 id = _fundingID(channelID, participant);
            uint256 word = _words[id];
            require(_isSettled(channelID, word), "channel not settled");
            uint256 amount = word & AMOUNT;
            _debit(id, word, amount);
            if (amount != 0) _payOrKeep(id, amount, receiver);
        }
    }

    function withdrawOnce(Withdrawal calldata withdrawal, bytes calldata sig) external {
        address participant = withdrawal.participant;
        require(
            Signatures.signerOf(withdrawalHash(withdrawal), sig) == participant, "signature verification failed"
        );
        require(block.timestamp <= withdrawal.deadline, "deadline passed");
        uint256 bit = 1 << (withdrawal.nonce & 255);
        uint256 bits = _nonces[participant][withdrawal.nonce >> 8];
        require(bits & bit == 0, "nonce used");
        _nonces[participant][withdrawal.nonce >> 8] = bits | bit;
        bytes32 id = _fundingID(withdrawal.channelID, participant);
        uint256 word = _words[id];
        require(_isSettled(withdrawal.channelID, word), "channel not settled");
        _debit(id, word, withdrawal.amount);
        _pay(id, withdrawal.amount, withdrawal.receiver);
    }

    /// @dev Checks an authorisation of the old kind and takes its amount out of the holdings.
    function _debitSigned(WithdrawalAuth calldata authorization, bytes calldata signature)
        private
        returns (bytes32 id)
    {
        bytes32 channelID = authorization.channelID;
        address participant = authorization.participant.ethAddress;
        id = _fundingID(channelID, participant);
        uint256 word = _words[id];
        require(_isSettled(channelID, word), "channel not settled");
        bytes32 hash = keccak256(abi.encode(authorization));
        require(Signatures.signerOf(hash, signature) == participant, "signature verification failed");
        _debit(id, word, authorization.amount);
    }

    /// @dev Takes an amount out of the holdings of a settled channel.
    function _debit(bytes32 id, uint256 word, uint256 amount) private {
        uint256 held = word & AMOUNT;
        require(amount <= held, "insufficient funds");
        unchecked {
            _words[id] = (word & CLOSED) | (held - amount);
        }
    }

    /// @dev The holdings don't contain the amount any more; if it can't be sent, nothing has happened.
    function _pay(bytes32 id, uint256 amount, address receiver) private {
        require(_send(receiver, amount, type(uint256).max), "transfer failed");
        emit Withdrawn(id, amount, receiver);
    }

    /// @dev The holdings don't contain the amount any more; if it can't be sent, they contain it again.
    function _payOrKeep(bytes32 id, uint256 amount, address receiver) private {
        if (_send(receiver, amount, PAYMENT_GAS)) {
            emit Withdrawn(id, amount, receiver);
        } else {
            uint256 word = _words[id];
            // The channel is settled, whatever the word was when the amount was taken out: for one that was empty
            // before its settlement, this is the only mark.
            _words[id] = (word + amount) | CLOSED;
            emit PaymentFailed(id, amount, receiver);
        }
    }

    // ---------------------------------------------------------------- small things

    /// @dev Closed, settled, or known to the adjudicator as paid out. What costs least is looked at first.
    function _isSettled(bytes32 channelID, uint256 word) private view returns (bool) {
        return word & CLOSED != 0 || settled[channelID] || _isPaid(channelID);
    }

    /// @dev An adjudicator that does not know the question has no such channel.
    function _isPaid(bytes32 channelID) private view returns (bool) {
        (bool ok, bytes memory answer) = adjudicator.staticcall(abi.encodeCall(IAdjudicator.isPaid, (channelID)));
        return ok && answer.length == 32 && abi.decode(answer, (uint256)) == 1;
    }

    /// @dev keccak256(abi.encode(channelID, participant)).
    function _fundingID(bytes32 channelID, address participant) private pure returns (bytes32 id) {
        assembly ("memory-safe") {
            mstore(0x00, channelID)
            mstore(0x20, and(participant, 0xffffffffffffffffffffffffffffffffffffffff))
            id := keccak256(0x00, 0x40)
        }
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
