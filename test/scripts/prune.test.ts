import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fileSystem } from '../../src/files/model-files.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import type { PruningReceipt } from '../../src/prune/index.js'
import { openRun } from '../../src/run/run-folder.js'
import { useTestBackend } from '../backend-under-test.js'
import { callPmoe, jsonLines, runPmoe } from './run-pmoe.js'

let root = ''
const at = (name: string) => join(root, name)

/** Runs the command line, which must succeed, and returns what it wrote. */
async function pmoe(...words: string[]): Promise<string> {
  const { code, out, err } = await callPmoe(words)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
}

const wasm = ['--backend', 'wasm']
const small = ['--dataset', 'digits-patches', '--samples', '8', '--test-samples', '8', '--batch-size', '8']
const prune = (run: string, ...words: string[]) => pmoe('prune', at(run), ...wasm, ...words)

beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-prune-'))
  await pmoe('train', ...small, '--model', 'wrn-pmoe', '--epochs', '1', ...wasm, '--out', at('whole'))
  await prune('whole', '--criterion', 'taylor', '--keep', '2', '--out', at('pruned'))
})

afterAll(() => rm(root, { recursive: true, force: true }))

interface StoredRecord {
  readonly layers: readonly PruningReceipt[]
  readonly bytes: { readonly before: number; readonly after: number }
  readonly accuracy: {
    readonly before: number
    readonly after: number
    readonly images: number
    readonly fineTuned?: number
  }
}

async function recordOf(run: string): Promise<StoredRecord> {
  return JSON.parse(await readFile(join(at(run), 'pruning.json'), 'utf8'))
}

async function configOf(run: string) {
  return JSON.parse(await readFile(join(at(run), 'config.json'), 'utf8'))
}

describe('a pruned run', () => {
  test('has a smaller network, and a receipt of what was removed', async () => {
    expect((await readdir(at('pruned'))).sort()).toEqual([
      'config.json',
      'initial',
      'model',
      'pruning.json',
      'routers-start.safetensors',
    ])
    const { layers, bytes, accuracy } = await recordOf('pruned')
    const [receipt] = layers
    expect(layers).toHaveLength(1)
    expect(receipt).toMatchObject({ layer: 'patch_moe', criterion: 'taylor', ratio: 0.5, operator: 'remove' })
    expect([...receipt!.kept, ...receipt!.removed].sort()).toEqual([0, 1, 2, 3])
    expect(receipt!.expertNames).toEqual(receipt!.kept.map(String))
    expect(receipt!.parameters.after).toBeLessThan(receipt!.parameters.before)
    expect(receipt!.multiplyAdds.after).toBeLessThan(receipt!.multiplyAdds.before)
    expect(bytes.after).toBeLessThan(bytes.before)
    expect(accuracy.images).toBe(8)
  })

  test('evaluates to what was printed, and predicts with the experts named as before', async () => {
    const { accuracy, layers } = await recordOf('pruned')
    const evaluated = JSON.parse(await pmoe('evaluate', at('pruned'), ...wasm, '--json'))
    expect(evaluated).toMatchObject({ accuracy: accuracy.after, parameters: layers[0]!.parameters.after })
    const pixels = { create: { width: 32, height: 32, channels: 3, background: '#555' } } as const
    await sharp(pixels).png().toFile(at('grey.png'))
    const predicted = await pmoe('predict', at('pruned'), at('grey.png'), ...wasm)
    const titles = [...predicted.matchAll(/^ {2}(expert \d) kept/gm)].map(([, title]) => title)
    expect(titles).toEqual(layers[0]!.kept.map(expert => `expert ${expert + 1}`))
    const json = JSON.parse(await pmoe('predict', at('pruned'), at('grey.png'), ...wasm, '--json'))
    expect(json.experts.map(({ name }: { name: string }) => name)).toEqual(layers[0]!.expertNames)
  })

  test('is the start of another training, and of another pruning, by the routers of the first start', async () => {
    const trained = [
      'train',
      ...small,
      '--init',
      at('pruned'),
      '--epochs',
      '1',
      ...wasm,
      '--out',
      at('further'),
    ]
    expect(await pmoe(...trained)).toContain(`Kept the head of ${at('pruned')}.`)
    const [whole, pruned] = await Promise.all(['whole', 'pruned'].map(name => openRun(at(name))))
    const before = (await whole!.startingRouters())!.get('patch_moe/router')!
    const after = (await pruned!.startingRouters())!.get('patch_moe/router')!
    const { kept } = (await recordOf('pruned')).layers[0]!
    expect(after.shape).toEqual([...before.shape.slice(0, -1), 2])
    expect([...after.data]).toEqual(
      Array.from({ length: after.data.length }, (_, i) => before.data[4 * Math.floor(i / 2) + kept[i % 2]!]),
    )
    await prune('pruned', '--criterion', 'router-distance', '--keep', '1', '--out', at('twice'))
    const { expertNames, kept: keptOfTwo } = (await recordOf('twice')).layers[0]!
    expect(expertNames).toEqual([String(kept[keptOfTwo[0]!])])
  })

  test('begins where its network can be trained at a tenth of the rate', async () => {
    const [before, after] = await Promise.all([configOf('whole'), configOf('pruned')])
    expect(after.model).toEqual({ name: 'init', options: { kind: 'init', from: at('whole'), head: 'keep' } })
    expect(after.training.learningRate).toBeCloseTo(before.training.learningRate / 10, 12)
    expect(after.training.epochs).toBe(5)
    await cp(at('pruned'), at('resumed'), { recursive: true })
    expect(await pmoe('train', '--resume', '--out', at('resumed'))).toContain('epoch 5/5')
    expect(await readdir(at('resumed'))).toContain('pruning.json')
  })
})

test('is fine-tuned on request, which the receipt tells', async () => {
  const { code, out } = await callPmoe([
    ...[
      'prune',
      at('whole'),
      ...wasm,
      '--ratio',
      '0.3',
      '--criterion',
      'expert-magnitude',
      '--compensate',
      'mean',
    ],
    ...['--fine-tune', '2', '--seed', '7', '--out', at('tuned'), '--json'],
  ])
  expect(code).toBe(0)
  const lines = jsonLines(out)
  expect(lines.filter(({ type }) => type === 'epoch')).toHaveLength(2)
  const { accuracy, layers } = await recordOf('tuned')
  // floor(0.3 * 4) = 1 of 4 experts goes.
  expect(layers[0]!.kept).toHaveLength(3)
  expect(lines.at(-1)).toMatchObject({ run: at('tuned'), accuracy, seed: 7 })
  const metrics = jsonLines(await readFile(join(at('tuned'), 'metrics.jsonl'), 'utf8'))
  expect(accuracy.fineTuned).toBe(metrics.at(-1)?.testAccuracy)
  expect((await configOf('tuned')).seed).toBe(7)
})

test('Ctrl-C in the training leaves a run that goes on; before it, nothing', async () => {
  const tuning = [
    '--keep',
    '2',
    '--criterion',
    'random',
    '--fine-tune',
    '3',
    '--out',
    at('stopped'),
    '--json',
  ]
  const stopped = await runPmoe(['prune', at('whole'), ...wasm, ...tuning], { interruptAt: '"type":"step"' })
  expect(stopped.code).toBe(130)
  expect(stopped.err).toMatch(/nothing is lost\. Continue with: pmoe train --resume --out /)
  expect(await readdir(at('stopped'))).not.toContain('model')
  const early = await callPmoe(['evaluate', at('stopped'), ...wasm])
  expect(early).toMatchObject({ code: 1, err: expect.stringContaining('the run must have ended') })
  expect(await pmoe('train', '--resume', '--out', at('stopped'))).toContain('epoch 3/3')

  const interrupted = callPmoe(['prune', at('whole'), ...wasm, '--keep', '2', '--out', at('never')])
  while (process.listenerCount('SIGINT') === 0) await new Promise(resolve => setTimeout(resolve, 1))
  process.emit('SIGINT')
  expect(await interrupted).toEqual({ code: 0, out: '', err: 'Stopping; nothing is written ...\n' })
  expect(process.exitCode).toBe(130)
  process.exitCode = undefined
  expect(await readdir(root)).not.toContain('never')
})

describe('--criterion all', () => {
  test('compares every criterion, and writes nothing', async () => {
    const before = await readdir(root)
    const out = await prune('whole', '--criterion', 'all')
    expect(out).toContain('patch_moe: 4 experts, operator remove')
    expect(out).toMatch(/^score +expert 1 +expert 2 +expert 3 +expert 4$/m)
    expect(out).toMatch(/^goes first to last +experts +3 left +2 left +1 left$/m)
    expect(out).toMatch(/^taylor +(\d ){4}( +\d+\.\d%){3}$/m)
    expect(out).toMatch(
      /^ {2}router-norm, router-norm-abs, router-distance: the reference looks like an init/m,
    )
    expect(out).toContain("  gate-mass: it is 1 for every expert under gate 'softmax-selected'")
    expect(out).toMatch(
      /With all experts the accuracy is \d+\.\d%, on 8 test images; nothing is fine-tuned\.\n$/,
    )
    expect(await readdir(root)).toEqual(before)
  })

  test('agrees with what pruning then gives', async () => {
    const { panels } = JSON.parse(await prune('whole', '--criterion', 'all', '--keep', '2', '--json'))
    const { layers, accuracy } = await recordOf('pruned')
    const { scores, order, accuracy: byCount } = panels[0].criteria.taylor
    expect(scores).toEqual(layers[0]!.scores)
    expect(order.slice(2).sort()).toEqual(layers[0]!.kept)
    expect(byCount).toEqual({ 2: accuracy.after })
  })

  test('does without a start that was not kept, and without images', async () => {
    await cp(at('whole'), at('bare'), { recursive: true })
    await rm(join(at('bare'), 'routers-start.safetensors'))
    const config = await configOf('bare')
    const moved = { ...config, dataset: { ...config.dataset, data: at('gone') } }
    await writeFile(join(at('bare'), 'config.json'), JSON.stringify(moved))
    const out = await prune('bare', '--criterion', 'all')
    expect(out).toContain('Criteria with a reference are left out. prune: ')
    expect(out).toContain('The images of the run are not at hand, so that no accuracy is measured: ')
    expect(out).toContain('  taylor: it needs data, a set of images')
    expect(out).toMatch(/^goes first to last +experts$/m)
    // What needs neither is pruned all the same.
    const pruned = await prune(
      'bare',
      '--criterion',
      'router-magnitude',
      '--keep',
      '1',
      '--out',
      at('bare-1'),
    )
    expect(pruned).toContain('The images of the run are not at hand')
    expect(pruned).not.toContain('accuracy on')
    const { startingRouters } = await openRun(at('bare-1'))
    expect(await startingRouters()).toBeUndefined()
  })
})

describe('the reference', () => {
  test('is the start of the run, a run or a saved model', async () => {
    const out = await prune('whole', '--keep', '3', '--out', at('by-start'))
    expect(out).toContain(
      `Compared with the routers that ${at('whole')} started with; --reference names others.`,
    )
    expect(out).toContain('Note: the reference looks like an initialisation')
    for (const [name, reference] of [
      ['by-run', 'whole'],
      ['by-model', 'whole/model'],
    ] as const) {
      await prune('whole', '--reference', at(reference), '--keep', '3', '--out', at(name))
      // A network has not moved away from itself.
      const { scores, reference: compared, tied } = (await recordOf(name)).layers[0]!
      expect(scores).toEqual([0, 0, 0, 0])
      expect(compared?.path).toBe(at(reference))
      expect(tied).toEqual([0, 1, 2, 3])
    }
  })

  test('of a run that started from a network trained before is that network, where it kept no routers', async () => {
    await cp(at('pruned'), at('older'), { recursive: true })
    await rm(join(at('older'), 'routers-start.safetensors'))
    await prune('older', '--criterion', 'router-distance', '--keep', '1', '--out', at('older-1'))
    expect((await recordOf('older-1')).layers[0]!.scores).toEqual([0, 0])
  })
})

describe('what cannot be done', () => {
  beforeAll(async () => {
    const dense = ['--model', 'wrn', '--epochs', '1', ...wasm]
    await pmoe('train', ...small, ...dense, '--out', at('dense'))
    const joined = ['--model', 'wrn-pmoe', '--variant', 'drop-in', '--epochs', '1', ...wasm]
    await pmoe('train', ...small, ...joined, '--out', at('drop-in'))
    const other = wideResNet({
      inputShape: [28, 28, 1],
      numClasses: 2,
      widenFactor: 1,
      pmoe: { numExperts: 2, patchesPerExpert: 2, patchSize: 1 },
      seed: 1,
    })
    await other.save(fileSystem(at('other')))
    other.dispose()
    await mkdir(at('mine'))
    await writeFile(join(at('mine'), 'notes.txt'), 'mine')
    await cp(at('whole'), at('startless'), { recursive: true })
    await rm(join(at('startless'), 'routers-start.safetensors'))
  })

  const out = ['--out', 'new']
  test.each([
    [2, 'whole', out, /^pmoe: prune: one of --keep, --ratio and --threshold must be given, got none$/],
    [2, 'whole', ['--keep', '2', '--ratio', '0.5', ...out], /must be given, got --keep and --ratio$/],
    [2, 'whole', ['--keep', '2'], /^pmoe: prune: --out must name the folder of the new run, got none$/],
    [
      2,
      'whole',
      ['--keep', '5', ...out],
      /keep must be an integer in \[1, 4\], got 5 \(layer patch_moe has 4 experts\)$/,
    ],
    [
      2,
      'whole',
      ['--keep', '0', ...out],
      /'--keep <count>' argument '0' is invalid\. It must be a positive integer/,
    ],
    [2, 'whole', ['--ratio', '1', ...out], /'--ratio <share>' argument '1' is invalid/],
    [
      2,
      'whole',
      ['--threshold', '99', '--criterion', 'random', ...out],
      /threshold must leave at least 1 expert, got 99/,
    ],
    [
      2,
      'whole',
      ['--keep', '2', '--criterion', 'best', ...out],
      /Allowed choices are router-norm, .*, random, all\./,
    ],
    [
      2,
      'whole',
      ['--keep', '2', '--criterion', 'usage', ...out],
      /got usage: it is L\/N = \d+\/\d+ for every expert/,
    ],
    [
      2,
      'whole',
      ['--keep', '2', '--layer', 'logits', ...out],
      /layer must be a mixture of the model \(patch_moe\), got "logits"$/,
    ],
    [
      2,
      'whole',
      ['--criterion', 'all', '--fine-tune', '2', ...out],
      /all must come without .*, got --fine-tune and --out$/,
    ],
    [
      2,
      'whole',
      ['--keep', '2', '--reference', 'other', ...out],
      /reference must have routers of shape .* \(layer patch_moe of /,
    ],
    [
      2,
      'whole',
      ['--keep', '2', '--reference', 'dense', ...out],
      /must have the router of layer patch_moe, got .*dense with routers of none$/,
    ],
    [
      1,
      'whole',
      ['--keep', '2', '--reference', 'gone', ...out],
      /must be the folder of a run or of a saved model/,
    ],
    [
      1,
      'whole',
      ['--keep', '2', '--criterion', 'taylor', '--data', 'gone', ...out],
      /criterion taylor must have the images of the run, got: .*gone/,
    ],
    [
      1,
      'whole',
      ['--keep', '2', '--compensate', 'mean', '--data', 'gone', ...out],
      /--compensate mean must have the images of the run/,
    ],
    [
      2,
      'whole',
      ['--keep', '2', '--out', 'whole'],
      /--out must be another folder than that of the run, got /,
    ],
    [
      1,
      'whole',
      ['--keep', '2', '--out', 'pruned'],
      /pruned must be new or empty, got a run \(replace it with --force\)$/,
    ],
    [
      1,
      'whole',
      ['--keep', '2', '--out', 'mine', '--force'],
      /mine must be new, empty or a run, got a folder with notes.txt$/,
    ],
    [2, 'dense', ['--keep', '2', ...out], /model must have a mixture of experts, got .* and none$/],
    [
      2,
      'drop-in',
      ['--keep', '2', '--criterion', 'random', ...out],
      /got layer group3_block1_add \(Add\).*operator 'zero' is possible/,
    ],
    [
      1,
      'startless',
      ['--keep', '2', ...out],
      /startless must hold the routers that it started with, routers-start\.safetensors, got none/,
    ],
    [1, 'other', ['--keep', '1', ...out], /other must be the folder of a run, got one without config\.json$/],
  ] as const)('exit %i: %s %j', async (code, run, words, message) => {
    const folders = (await readdir(root)).sort()
    const before = await readFile(join(at('pruned'), 'pruning.json'), 'utf8')
    const named = ['gone', 'other', 'dense', 'whole', 'pruned', 'mine', 'new']
    const flags = words.map((word, i) =>
      words[i - 1]?.startsWith('--') && named.includes(word) ? at(word) : word,
    )
    const result = await callPmoe(['prune', at(run), ...wasm, ...flags])
    expect(result.code).toBe(code)
    expect(result.err.trimEnd().split('\n')[0]).toMatch(message)
    expect((await readdir(root)).sort()).toEqual(folders)
    expect(await readFile(join(at('pruned'), 'pruning.json'), 'utf8')).toBe(before)
    expect(await readFile(join(at('mine'), 'notes.txt'), 'utf8')).toBe('mine')
  })

  test('operator zero prunes where channels cannot go', async () => {
    const words = ['--keep', '2', '--criterion', 'random', '--operator', 'zero', '--out', at('zeroed')]
    expect(await prune('drop-in', ...words)).toContain('operator zero')
    const evaluated = JSON.parse(await pmoe('evaluate', at('zeroed'), ...wasm, '--json'))
    const { parameters } = (await recordOf('zeroed')).layers[0]!
    expect(evaluated.parameters).toBe(parameters.after)
    expect(parameters.after).toBeLessThan(parameters.before)
    const all = await prune('drop-in', '--criterion', 'all')
    expect(all).toContain('patch_moe: 4 experts, operator zero')
  })

  test('--force replaces a pruned run whole', async () => {
    await cp(at('pruned'), at('replaced'), { recursive: true })
    await writeFile(join(at('replaced'), 'notes.txt'), 'mine')
    await prune('whole', '--keep', '3', '--criterion', 'random', '--force', '--out', at('replaced'))
    expect((await recordOf('replaced')).layers[0]!.kept).toHaveLength(3)
    expect(await readFile(join(at('replaced'), 'notes.txt'), 'utf8')).toBe('mine')
  })
})
