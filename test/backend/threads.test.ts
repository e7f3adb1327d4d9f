import { availableParallelism } from 'node:os'
import { expect, test } from 'vitest'
import { useBackend } from '../../src/backend/choose.js'
import { backendThreads, tensorFlowThreads } from '../../src/backend/threads.js'

test.each([
  ['3', 3],
  [undefined, availableParallelism()],
  ['', availableParallelism()],
  ['0', availableParallelism()],
  ['-2', availableParallelism()],
  ['many', availableParallelism()],
])('TensorFlow has %s threads where it is asked for so many', (asked, threads) => {
  expect(tensorFlowThreads({ TF_NUM_INTRAOP_THREADS: asked })).toBe(threads)
})

test('wasm has one', async () => {
  await useBackend('wasm')
  expect(backendThreads()).toBe(1)
})
