import { describe, expect, test } from 'vitest'
import {
  configDifferences,
  configKey,
  mayChange,
  parseRunConfig,
  type RunConfig,
  runConfig,
} from '../../src/run/run-config.js'

const config: RunConfig = {
  dataset: { name: 'digits-patches', data: null, samples: 100, testSamples: null, classNames: ['0', '1'] },
  model: {
    name: 'wrn-pmoe',
    options: {
      kind: 'wide-resnet',
      depth: 10,
      widenFactor: 1,
      variant: 'sparse',
      pmoe: { numExperts: 4, patchesPerExpert: 16, patchSize: [1, 2] },
    },
  },
  training: { epochs: 3, batchSize: 20, optimizer: 'sgd', learningRate: 0.1, bnStatistics: 'recomputed' },
  seed: 1,
  backend: 'wasm',
  precision: 'float32',
  memory: 'normal',
  versions: { patchMoe: '0.1.0', tfjs: '4.22.0', node: '20.0.0' },
}

/** The configuration with one setting changed, as JSON text. */
function changed(change: (draft: typeof config & Record<string, never>) => void): string {
  const draft = structuredClone(config) as typeof config & Record<string, never>
  change(draft)
  return JSON.stringify(draft)
}

describe('parseRunConfig', () => {
  test('gives back what was written', () => {
    expect(parseRunConfig(JSON.stringify(config, null, 2), 'a/config.json')).toEqual(config)
  })

  test('names the file and the position that is not JSON', () => {
    expect(() => parseRunConfig('{"seed": 1,}', 'a/config.json')).toThrow(
      /^a\/config\.json: must be JSON, got 12 characters that are not: .*position 11/,
    )
  })

  test('names every key that is missing, wrong or unknown', () => {
    const text = changed(draft => {
      Reflect.deleteProperty(draft.training, 'epochs')
      Object.assign(draft, { seed: 'one', speed: 9 })
      Object.assign(draft.model.options, { depth: 0 })
    })
    const error = errorOf(() => parseRunConfig(text, 'a/config.json'))
    expect(error).toBeInstanceOf(RangeError)
    expect(error.message).toMatch(/^a\/config\.json: must be the configuration of a run, got /)
    expect(error.message).toContain('training.epochs: ')
    expect(error.message).toContain('seed: Invalid input: expected number, received string')
    expect(error.message).toContain('model.options.depth: Too small: expected number to be >=1')
    expect(error.message).toContain('"speed"')
  })

  test('lists the known names for one that is not', () => {
    const text = changed(draft => Object.assign(draft.training, { optimizer: 'lion' }))
    expect(() => parseRunConfig(text, 'c')).toThrow(
      'training.optimizer: Invalid option: expected one of "sgd"|"momentum"|"adam"',
    )
  })
})

describe('configDifferences', () => {
  test('names each changed, added and removed setting with both values, and no version', () => {
    const other = runConfig(
      {
        ...config,
        model: {
          ...config.model,
          options: { kind: 'wide-resnet', depth: 10, widenFactor: 1, variant: 'drop-in' },
        },
        training: { ...config.training, learningRate: 0.2, earlyStop: 5 },
        versions: { ...config.versions, node: '22.0.0' },
      },
      'test',
    )
    expect(configDifferences(config, other)).toEqual([
      { key: 'model.options.variant', was: 'sparse', asked: 'drop-in' },
      { key: 'model.options.pmoe.numExperts', was: 4, asked: undefined },
      { key: 'model.options.pmoe.patchesPerExpert', was: 16, asked: undefined },
      { key: 'model.options.pmoe.patchSize', was: [1, 2], asked: undefined },
      { key: 'training.learningRate', was: 0.1, asked: 0.2 },
      { key: 'training.earlyStop', was: undefined, asked: 5 },
    ])
    expect(configDifferences(config, structuredClone(config))).toEqual([])
  })
})

test('configKey is a flat JSON object that leaves out the versions, the epochs and the place of the files alone', () => {
  const other = { ...config, versions: { ...config.versions, patchMoe: '9' } }
  expect(configKey(other)).toBe(configKey(config))
  expect(JSON.parse(configKey(config))).toMatchObject({
    'training.batchSize': 20,
    'model.options.pmoe.patchSize': [1, 2],
    backend: 'wasm',
  })
  expect(configKey({ ...config, training: { ...config.training, epochs: 9 } })).toBe(configKey(config))
  expect(configKey({ ...config, dataset: { ...config.dataset, data: '/elsewhere' } })).toBe(configKey(config))
  expect(configKey({ ...config, seed: 2 })).not.toBe(configKey(config))
})

function errorOf(action: () => unknown): Error {
  try {
    action()
  } catch (error) {
    return error as Error
  }
  throw new Error('expected an error')
}

test('a configuration from before precision and memory were settings means the usual ones', () => {
  const { precision: _, memory: __, ...older } = config
  expect(parseRunConfig(JSON.stringify(older), 'config.json')).toEqual(config)
})

test('a configuration of a version that has other settings is refused with that version', () => {
  const { versions } = config
  const newer = { ...config, sparsity: 2, versions: { ...versions, patchMoe: '7.1.0', rust: '9' } }
  const { message } = errorOf(() => parseRunConfig(JSON.stringify(newer), 'runs/a/config.json'))
  expect(message).toMatch(/^runs\/a\/config\.json: must be the configuration of a run, got /)
  expect(message).toContain('"sparsity"')
  expect(message).toMatch(/ \(written by patch-moe 7\.1\.0\)$/)
  const nameless = { ...config, versions: {} }
  expect(errorOf(() => parseRunConfig(JSON.stringify(nameless), 'c')).message).not.toContain('written by')
})

test('a run that goes on may last longer and read its files elsewhere, nothing else', () => {
  const epochs = { key: 'training.epochs', was: 3 }
  expect([2, 3, 4].map(asked => mayChange({ ...epochs, asked }))).toEqual([false, false, true])
  for (const key of ['dataset.data', 'dataset.backgrounds', 'dataset.maxUnreadable']) {
    expect(mayChange({ key, was: '/a', asked: '/b' })).toBe(true)
  }
  for (const key of ['training.learningRate', 'dataset.samples', 'seed', 'model.name', 'epochs']) {
    expect(mayChange({ key, was: 1, asked: 2 })).toBe(false)
  }
})
