// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// What the parties of a channel sign. The order of the fields is what is hashed: it may never change.

/// @notice A participant: where it signs and is paid here, and who it is on another ledger.
struct Participant {
    address ethAddress;
    /// Address on another ledger; 32 zero bytes when there is none.
    bytes ccAddress;
}

/// @notice What is fixed for a channel's whole life. Its hash is the channel ID.
struct Params {
    /// How long a dispute can be answered, in seconds; at most 2^32 - 1.
    uint256 challengeDuration;
    uint256 nonce;
    Participant[] participants;
    /// The app's contract, or zero for a channel without app.
    address app;
    bool ledgerChannel;
    bool virtualChannel;
}

/// @notice An asset: of the chain `chainID`, kept there by `ethHolder`; `ccHolder` for other ledgers.
struct Asset {
    uint256 chainID;
    address ethHolder;
    bytes ccHolder;
}

/// @notice Funds that are locked in a sub-channel or a virtual channel.
struct SubAlloc {
    bytes32 ID;
    /// One total for each asset.
    uint256[] balances;
    /// Index of a sub-channel's participant => index of the participant here who gets its outcome.
    uint16[] indexMap;
}

/// @notice Who owns what: `balances[asset][participant]` and what is locked.
struct Allocation {
    Asset[] assets;
    uint256[] backends;
    uint256[][] balances;
    SubAlloc[] locked;
}

/// @notice A channel's state. Signed as EIP-191 personal message over the 32 bytes of its hash.
struct State {
    bytes32 channelID;
    uint64 version;
    Allocation outcome;
    bytes appData;
    bool isFinal;
}

/// @notice A state with everybody's signature, in the order of the participants.
struct SignedState {
    Params params;
    State state;
    bytes[] sigs;
}
