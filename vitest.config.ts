import { defineConfig } from 'vitest/config'
import { findNative, whyUnusable } from './src/backend/native/native.js'

// Everything runs on wasm; what computes with tensors runs on native TensorFlow as well, where that is provided.
const native = findNative().some(candidate => whyUnusable(candidate) === undefined)
if (!native)
  console.log('Native TensorFlow is not provided (npx pmoe native provides it): tests run on wasm only.')

// The limits of all tests, also of those that wait for processes: what hangs is ended, and what is slow is not, as on a
// machine that does ten other things. No test has a limit of its own.
const limit = 10 * 60_000
const shared = {
  pool: 'forks' as const,
  testTimeout: limit,
  hookTimeout: limit,
  expect: { poll: { timeout: limit } },
}
const onTensorFlow = 'test/**/tensorflow-*.test.ts'
const wasm = {
  test: {
    ...shared,
    name: 'wasm',
    include: ['test/**/*.test.ts'],
    exclude: [onTensorFlow],
    env: { PMOE_TEST_BACKEND: 'wasm' },
  },
}
const tensorflow = {
  test: {
    ...shared,
    name: 'tensorflow',
    include: [
      'test/layers/**/*.test.ts',
      'test/models/**/*.test.ts',
      'test/prune/**/*.test.ts',
      'test/train/**/*.test.ts',
      'test/inference/**/*.test.ts',
      'test/compat/models.test.ts',
      onTensorFlow,
    ],
    env: { PMOE_TEST_BACKEND: 'tensorflow' },
  },
}

export default defineConfig({
  test: { maxWorkers: 2, projects: native ? [wasm, tensorflow] : [wasm] },
})
