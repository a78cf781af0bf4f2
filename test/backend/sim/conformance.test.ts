// The simulated ledger under the suite that every ledger passes.
import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { type AppID, appResolver, paymentApp, type State, stateOf, toHex } from '../../../channel/index.js'
import { SimBackend, SimLedger } from '../../../backend/sim/index.js'
import { simCapabilities } from '../../../backend/sim/rules.js'
import { describeBackend, ecdsaTwins } from '../../conformance/index.js'
import { party, type SimParty, simWorld } from './world.js'
