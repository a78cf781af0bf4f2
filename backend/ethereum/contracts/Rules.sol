// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Canonical} from "./Canonical.sol";
import {Allocation, Asset, Params, State, SubAlloc} from "./Types.sol";

/// @notice What must be true of params, states and steps before they get into a dispute. Nothing that passes here
/// can make the later conclusion fail. The states must have been hashed (see Canonical).
library Rules {
    using Canonical for State;
    using Canonical for Asset[];

    /// Limits that keep every conclusion within a block.
    uint256 internal constant MAX_PARTICIPANTS = 256;
    uint256 internal constant MAX_ASSETS = 64;
    uint256 internal constant MAX_LOCKED = 64;
    uint256 internal constant MAX_DURATION = type(uint32).max;

    /// @notice Participants are distinct, and not too many.
    function requireParticipants(address[] memory participants) internal pure {
        uint256 count = participants.length;
        require(count != 0 && count <= MAX_PARTICIPANTS, "number of participants");
        unchecked {
            for (uint256 i = 1; i < count; ++i) {
                requireNotAmong(participants, i, participants[i]);
            }
        }
    }

    /// @notice `participant` is none of the first `count` addresses.
    function requireNotAmong(address[] memory addresses, uint256 count, address participant) internal pure {
        bool found = false;
        assembly ("memory-safe") {
            let at := add(addresses, 0x20)
            for { let end := add(at, shl(5, count)) } lt(at, end) { at := add(at, 0x20) } {
                found := or(found, eq(mload(at), participant))
            }
        }
        require(!found, "duplicate participant");
    }

    /// @notice A state can be disputed: nothing in it can make a later step or the conclusion fail.
    function requireRegistrable(Params calldata params, State calldata state, uint256 participants) internal pure {
        require(params.challengeDuration <= MAX_DURATION, "challenge duration too long");
        bool locks = state.lockedOf().length != 0;
        if (params.virtualChannel) {
            require(params.app == address(0), "cannot have app");
            require(!locks, "funds locked");
        }
        requireDimensions(state, participants);
        if (locks) requireLocked(state.outcome, participants);
    }

    /// @notice Balances have their dimensions, one row an asset and one amount a participant, and no asset is there
    /// twice.
    function requireDimensions(State calldata state, uint256 participants) internal pure {
        Asset[] calldata assets = state.assetsOf();
        uint256 count = assets.length;
        require(count <= MAX_ASSETS, "number of assets");
        require(count == state.rowsOf(), "assets length mismatch");
        for (uint256 a = 0; a < count; ++a) {
            require(state.rowAt(a).length == participants, "balances length mismatch");
            if (a == 0) continue;
            Asset calldata asset = assets.assetAt(a);
            if (asset.ethHolder == address(0)) continue;
            for (uint256 b = 0; b < a; ++b) {
                Asset calldata other = assets.assetAt(b);
                require(
                    asset.ethHolder != other.ethHolder || asset.chainID != other.chainID, "duplicate asset"
                );
            }
        }
    }

    /// @notice What a state locks has its dimensions, and the sums of all amounts do not overflow.
    function requireLocked(Allocation calldata outcome, uint256 participants) internal pure {
        SubAlloc[] calldata locked = outcome.locked;
        require(locked.length <= MAX_LOCKED, "number of sub-channels");
        uint256 assets = outcome.assets.length;
        for (uint256 i = 0; i < locked.length; ++i) {
            require(locked[i].balances.length == assets, "locked balances length mismatch");
            uint16[] calldata indexMap = locked[i].indexMap;
            for (uint256 p = 0; p < indexMap.length; ++p) {
                require(indexMap[p] < participants, "index out of range");
            }
        }
        for (uint256 a = 0; a < assets; ++a) {
            total(outcome, a);
        }
    }

    /// @notice All of an asset that a state distributes, what it locks included.
    function total(Allocation calldata outcome, uint256 asset) internal pure returns (uint256 sum) {
        sum = sumOf(outcome.balances[asset]);
        for (uint256 i = 0; i < outcome.locked.length; ++i) {
            sum += outcome.locked[i].balances[asset];
        }
    }

    function sumOf(uint256[] calldata amounts) internal pure returns (uint256 sum) {
        for (uint256 i = 0; i < amounts.length; ++i) {
            sum += amounts[i];
        }
    }

    function requireEqual(Asset[] calldata a, Asset[] calldata b) internal pure {
        uint256 count = a.length;
        require(count == b.length, "Asset[]: unequal length");
        for (uint256 i = 0; i < count; ++i) {
            Asset calldata x = a.assetAt(i);
            Asset calldata y = b.assetAt(i);
            require(x.chainID == y.chainID, "unequal chainID");
            require(x.ethHolder == y.ethHolder, "unequal ethHolder");
            require(keccak256(x.ccHolder) == keccak256(y.ccHolder), "unequal ccHolder");
        }
    }

    /// @notice `sub` locks exactly what the child's state distributes, and each of the child's participants is
    /// somebody in the parent.
    function requireChild(SubAlloc calldata sub, Allocation calldata child, uint256 participants) internal pure {
        require(sub.indexMap.length >= participants, "index map too short");
        require(sub.balances.length == child.assets.length, "uint256[]: unequal length");
        for (uint256 a = 0; a < child.assets.length; ++a) {
            require(sub.balances[a] == total(child, a), "uint256[]: unequal item");
        }
    }

    /// @notice What a forced step may change: neither assets, nor sums, nor what is locked.
    function requireStep(uint256 participants, State calldata from, State calldata to) internal pure {
        require(to.version == from.version + 1, "version must increment by one");
        require(!from.isFinal, "cannot progress from final state");
        uint256 rows = to.rowsOf();
        Asset[] calldata assets = to.assetsOf();
        require(from.rowsOf() == rows, "balances length mismatch");
        require(assets.length == rows, "assets length mismatch");
        requireEqualLocked(from.lockedOf(), to.lockedOf());
        requireEqual(from.assetsOf(), assets);
        for (uint256 a = 0; a < rows; ++a) {
            uint256[] calldata oldRow = from.rowAt(a);
            uint256[] calldata newRow = to.rowAt(a);
            require(oldRow.length == participants, "old balances length mismatch");
            require(newRow.length == participants, "new balances length mismatch");
            require(sumOf(oldRow) == sumOf(newRow), "sum of balances mismatch");
        }
    }

    function requireEqualLocked(SubAlloc[] calldata a, SubAlloc[] calldata b) internal pure {
        require(a.length == b.length, "SubAlloc[]: unequal length");
        for (uint256 i = 0; i < a.length; ++i) {
            require(a[i].ID == b[i].ID, "SubAlloc: unequal ID");
            uint256[] calldata x = a[i].balances;
            uint256[] calldata y = b[i].balances;
            require(x.length == y.length, "uint256[]: unequal length");
            for (uint256 j = 0; j < x.length; ++j) {
                require(x[j] == y[j], "uint256[]: unequal item");
            }
            uint16[] calldata v = a[i].indexMap;
            uint16[] calldata w = b[i].indexMap;
            require(v.length == w.length, "uint16[]: unequal length");
            for (uint256 j = 0; j < v.length; ++j) {
                require(v[j] == w[j], "uint16[]: unequal item");
            }
        }
    }
}
