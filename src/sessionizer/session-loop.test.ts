import { DatabaseSync } from 'node:sqlite'
import { testSessionCrashes } from '../../test/support/session-crash-behaviour.ts'
import { testSessionLoop } from '../../test/support/session-loop-behaviour.ts'
import { type OpenStore, rules } from '../../test/support/session-store-behaviour.ts'
import { testSessionStorm } from '../../test/support/session-storm-behaviour.ts'
import { createSqliteStore } from './sqlite-store.ts'

const open: OpenStore = async (options) =>
  createSqliteStore({
    database: new DatabaseSync(':memory:'),
    sessions: rules,
    tombstoneMs: 86_400_000,
    ...options,
  })

testSessionLoop(open)
testSessionCrashes(open)
testSessionStorm(open)
