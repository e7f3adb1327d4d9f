import { availableParallelism } from 'node:os'
import { expect, test } from 'vitest'
import { useBackend } from '../../src/backend/choose.js'
import { backendThreads, preferThreads, tensorFlowThreads } from '../../src/backend/threads.js'

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

test.each([
  [undefined, '3'],
  ['', '3'],
  ['2', '2'],
  ['0', '0'],
])('3 threads are preferred, unless the user says %s', (asked, expected) => {
  const env = { TF_NUM_INTRAOP_THREADS: asked }
  preferThreads(3, env)
  expect(env.TF_NUM_INTRAOP_THREADS).toBe(expected)
})

test('wasm has one', async () => {
  await useBackend('wasm')
  expect(backendThreads()).toBe(1)
})
