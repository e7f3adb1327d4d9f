import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { preferThreadsFor, preferThreadsOf } from '../../scripts/run/regions/region-threads.js'
import type { RunConfig } from '../../src/run/run-config.js'

beforeEach(() => void vi.stubEnv('TF_NUM_INTRAOP_THREADS', undefined))
afterEach(() => void vi.unstubAllEnvs())
const threads = () => process.env.TF_NUM_INTRAOP_THREADS

describe('a training that begins has one thread', () => {
  test.each([
    [{ model: 'routed', dataset: 'megapixel-digits' }, '1'],
    [{ model: 'routed', dataset: 'image-folder', cellSize: 64 }, '1'],
    [{ model: 'routed', dataset: 'image-folder', cellSize: [16, 128] }, undefined],
    [{ model: 'routed', dataset: 'megapixel-digits', cellSize: 128 }, undefined],
    // The size of the photographs, and so of their cells, is not known yet.
    [{ model: 'routed', dataset: 'image-folder' }, undefined],
    [{ model: 'routed', dataset: 'no-such' }, undefined],
    [{ model: 'wrn', dataset: 'cifar10', cellSize: 32 }, undefined],
  ])('%j: %s', (training, expected) => {
    preferThreadsFor(training)
    expect(threads()).toBe(expected)
  })

  test('unless the user says otherwise', () => {
    vi.stubEnv('TF_NUM_INTRAOP_THREADS', '2')
    preferThreadsFor({ model: 'routed', dataset: 'megapixel-digits' })
    expect(threads()).toBe('2')
  })
})

test('a run goes on with the threads that computed it, or begins anew with those of its cells', () => {
  const run = (kind: string, cellSize: number) =>
    ({ model: { options: { kind, cellSize } } }) as never as RunConfig
  const by = (backend: string, count?: number) => ({
    computation: { backend, ...(count !== undefined && { threads: count }) },
  })
  for (const [config, state, expected] of [
    [run('routed', 32), by('tensorflow', 2), '2'],
    [run('routed', 128), by('tensorflow', 1), '1'],
    [run('routed', 32), undefined, '1'],
    [run('routed', 128), undefined, undefined],
    [run('routed', 32), by('wasm', 1), undefined],
    [run('routed', 32), by('tensorflow'), undefined],
    [run('routed', 32), {}, undefined],
    [run('wide-resnet', 32), by('tensorflow', 1), undefined],
  ] as const) {
    vi.stubEnv('TF_NUM_INTRAOP_THREADS', undefined)
    preferThreadsOf(config, state)
    expect(threads()).toBe(expected)
  }
})
