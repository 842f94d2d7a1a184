import { DatabaseSync } from 'node:sqlite'
import { testSessionJoins } from '../../test/support/session-join-behaviour.ts'
import { testSessionMemory } from '../../test/support/session-memory-behaviour.ts'
import { type OpenStore, rules, testSessionStore } from '../../test/support/session-store-behaviour.ts'
import { createSqliteStore } from './sqlite-store.ts'

const open: OpenStore = async (options) =>
  createSqliteStore({
    database: new DatabaseSync(':memory:'),
    sessions: rules,
    tombstoneMs: 86_400_000,
    ...options,
  })

testSessionStore(open)
testSessionJoins(open)
testSessionMemory(open)
