import { describe, expect, it } from 'vitest'
import { bench } from '../../bench/bench.js'
import type { Table } from '../../bench/bench-result.js'
import type { Job } from '../../bench/jobs.js'
import { parseOptions } from '../../bench/options.js'
import { augmentationTable, augmentationTargets } from '../../bench/sections/augmentation.js'
import { backendTable } from '../../bench/sections/backends.js'
import { composingTable } from '../../bench/sections/composing.js'
import { epochTable, epochTargets } from '../../bench/sections/data-epoch.js'
import { memoryCurve } from '../../bench/sections/data-memory.js'
import { recordsTable } from '../../bench/sections/data-records.js'
import { decodingTable, decodingTargets } from '../../bench/sections/decoding.js'
import { frozenTargets } from '../../bench/sections/frozen.js'
import { layerTable, layerTargets } from '../../bench/sections/layer.js'
import { pipelineTable, pipelineTargets } from '../../bench/sections/pipeline.js'
import { predictionRow } from '../../bench/sections/prediction.js'
import { pruningRow, pruningTargets } from '../../bench/sections/pruning.js'
import {
  filesTable,
  processName,
  stepTable as routedTable,
  routedTargets,
  torchRouted,
} from '../../bench/sections/routed.js'
import {
  formsTable,
  stepTable as sampleStepTable,
  sampleTargets,
  torchCommand,
} from '../../bench/sections/samples.js'
import { fullSettings } from '../../bench/sections/training-numbers.js'
import { memoryTable, peerTable, rateTable, stepTable } from '../../bench/sections/training-tables.js'
import { trainingTargets } from '../../bench/sections/training-targets.js'
import type { ChildCommand } from '../../scripts/run/measuring/child-process.js'
import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import { Sitting } from '../../scripts/run/measuring/sitting.js'

const setting = fullSettings[0]!

/** A report of one training process: its steps take `seconds` in the middle. */
function training(seconds: number, facts: Record<string, number> = {}, more: ChildReport['seconds'] = {}) {
  return {
    software: 'test',
    seconds: { step: [seconds, 2 * seconds, 0.5 * seconds], ...more },
    facts: { parameters: 1000, FLOP: 300e9, 'peak bytes': 1e9, ...facts },
  }
}

/** Two rounds; the second ran while the machine was twice as slow. */
const convolutions = (slowness: number) => ({ 'convolution a': [slowness], 'convolution b': [9 * slowness] })
const rated = { 'convolution a': 400e9, 'convolution b': 400e9 }
const sitting = new Sitting(
  new Map([
    ['ours wrn float32', [training(1, rated, convolutions(1)), training(2, rated, convolutions(2))]],
    ['ours wrn-pmoe float32', [training(0.8, { FLOP: 240e9 }), training(1.6, { FLOP: 240e9 })]],
    ['keras wrn float32', [training(1.25, { 'peak bytes': 2e9 }), training(2.5, { 'peak bytes': 2e9 })]],
    ['torch wrn-pmoe bf16', [training(0.5), training(1)]],
  ]),
)

const cells = (table: Table, row: number) => table.rows[row]!.join(' | ')

describe('training steps', () => {
  it('are compared pair by pair, in time and in work', () => {
    const table = stepTable([[setting, sitting]])
    expect(cells(table, 0)).toBe(
      '64x64, batch 16 | wrn | float32 | 1.500 s | 1.250 s - 1.750 s | 1.000 s | 1,000 | 1 | 1',
    )
    expect(cells(table, 1)).toBe(
      '64x64, batch 16 | wrn-pmoe | float32 | 1.200 s | 1.000 s - 1.400 s | 800 ms | 1,000 | 0.800 (0.800 - 0.800) | 0.800',
    )
    expect(table.rows).toHaveLength(2)
  })

  it('stand beside those of the peers, measured or not', () => {
    const table = peerTable([[setting, sitting]])
    expect(cells(table, 0)).toBe(
      '64x64, batch 16 | wrn | float32 | 1.500 s | keras | 1.875 s | 0.800 (0.800 - 0.800)',
    )
    expect(cells(table, 5)).toBe(
      '64x64, batch 16 | wrn-pmoe | bf16 | not measured | torch | 750 ms | not measured',
    )
  })

  it('show their memory by that of Keras', () => {
    const { rows } = memoryTable([[setting, sitting]])
    expect(rows.map(row => row.slice(1).join(' '))).toEqual([
      'wrn float32 ours 1.00 GB 0.500 (0.500 - 0.500)',
      'wrn-pmoe float32 ours 1.00 GB not measured',
      'wrn float32 keras 2.00 GB 1',
      'wrn-pmoe bf16 torch 1.00 GB not measured',
    ])
  })

  it('show their rate by that of the best convolution of the same process', () => {
    // 300 GFLOP in 1 s and 2 s; the better convolution has 400 GFLOP in 1 s and 2 s.
    const table = rateTable([[setting, sitting]])
    expect(table.rows).toEqual([
      ['64x64, batch 16', 'wrn', '300.0', '225.0', '300.0', '75.0 %', '75.0 % - 75.0 %'],
    ])
  })

  it('say of targets what was measured, and of others nothing', () => {
    expect(trainingTargets(sitting)).toEqual({
      'wrn/keras': { value: 0.8, quartiles: [0.8, 0.8] },
      'pmoe/wrn': { value: 0.8, quartiles: [0.8, 0.8] },
      'memory wrn': { value: 0.5, quartiles: [0.5, 0.5] },
      'rate wrn': { value: 0.75, quartiles: [0.75, 0.75] },
    })
  })
})

describe('routed steps', () => {
  const report = (seconds: number, bytes: number): ChildReport => ({
    software: 'test',
    seconds: { step: [seconds, 3 * seconds, 0.5 * seconds], 'step, processor': [2 * seconds] },
    facts: { 'start bytes': 100e6, 'peak bytes': 100e6 + bytes, 'multiply-adds': 1 },
  })
  const reports = [512, 1504].flatMap(size => [
    [processName('routed', { size, threads: 2 }), [report(size / 10_000, 20e6), report(size / 5000, 20e6)]],
    [processName('dense', { size, threads: 2 }), [report(size / 1000, 200e6), report(size / 500, 200e6)]],
  ]) as [string, ChildReport[]][]
  const steps = new Sitting(new Map(reports))

  it('stand beside the dense network, in time, processor time and memory', () => {
    const { rows } = routedTable(steps, [{ size: 512, threads: 2 }])
    expect(rows.map(row => row.join(' | '))).toEqual([
      'routed 512x512, 2 threads | 76.8 ms | 154 ms | 20.0 MB |  |  | ',
      'dense 512x512, 2 threads | 768 ms | 1.536 s | 200.0 MB | 0.100 (0.100 - 0.100) | 0.100 (0.100 - 0.100) | 0.100 (0.100 - 0.100)',
      'PyTorch 512x512, 2 threads | not measured | not measured | not measured | not measured | not measured | not measured',
    ])
  })

  it('say of targets what was measured, and of others nothing', () => {
    const targets = routedTargets(steps)
    expect(Object.keys(targets)).toEqual([
      'routed 512',
      'routed 1504',
      'routed memory 512',
      'routed memory 1504/512',
    ])
    expect(targets['routed memory 1504/512']).toEqual({ value: 1, quartiles: [1, 1] })
    expect(targets['routed 512']?.value).toBeCloseTo(0.1)
  })

  it('wait for files', () => {
    const seconds = { 'in memory': [1], 'in memory waiting': [0.1], JPEG: [2], 'JPEG waiting': [1] }
    const { rows } = filesTable({ software: 'test', seconds, facts: { images: 10 } }, 512)
    expect(rows).toEqual([
      ['in memory', '100 ms', '1', '10.0 %'],
      ['JPEG', '200 ms', '2.000 (2.000 - 2.000)', '50.0 %'],
    ])
  })

  it('tell PyTorch the same', () => {
    const context = {
      ...parseOptions(['--quick']),
      run: () => Promise.reject(new Error('none')),
      log: () => undefined,
    }
    const { arguments: given, who } = torchRouted('python', { size: 64, threads: 1 }, context)
    expect(who).toBe('PyTorch 64x64, 1 thread')
    expect(given[0]).toMatch(/bench\/peers\/torch_routed\.py$/)
    expect(given.slice(1).join(' ')).toBe(
      'routed --size 64 --batch 2 --classes 10 --cell 32 --keep 2 --threads 1 --warm-up 1 --rounds 2',
    )
  })
})

describe('sample-level mixtures', () => {
  const job = {
    ...({ workload: 'samples', backend: 'auto', warmUp: 2, rounds: 15 } as const),
    ...{ samples: 16000, patches: 4, width: 50, experts: 8, filters: 8, counts: [2, 8], block: 128 },
  }
  const report = (slowness: number): ChildReport => ({
    software: 'test',
    seconds: {
      step: [0.03 * slowness],
      ...{ 'all 2': [0.02 * slowness], 'sorted 2': [0.03 * slowness] },
      ...{ 'all 8': [0.08 * slowness], 'sorted 8': [0.02 * slowness] },
    },
    facts: { 'block 2': 0, 'block 8': 128 },
  })
  const peer = (slowness: number): ChildReport => ({
    software: 'test',
    seconds: { sorted: [0.04 * slowness], all: [0.12 * slowness] },
    facts: {},
  })
  const samples = new Sitting(
    new Map([
      ['samples', [report(1), report(2)]],
      ['PyTorch', [peer(1), peer(2)]],
    ]),
  )

  it('stand beside both forms of the peer, and the target beside the faster one', () => {
    expect(sampleStepTable(samples, job).rows.map(row => row.join(' | '))).toEqual([
      'ours | 45.0 ms | 1.000 (1.000 - 1.000)',
      'PyTorch, samples sorted by expert | 60.0 ms | 0.750 (0.750 - 0.750)',
      'PyTorch, all experts | 180 ms | 0.250 (0.250 - 0.250)',
    ])
    expect(sampleTargets(samples)['samples/torch']?.value).toBeCloseTo(0.75, 12)
    const alone = new Sitting(new Map([['samples', [report(1)]]]))
    expect(sampleTargets(alone)).toEqual({})
    expect(sampleStepTable(alone, job).rows[1]).toEqual([
      'PyTorch, samples sorted by expert',
      'not measured',
      '',
    ])
  })

  it('show where sorting pays, and what the layer takes', () => {
    expect(formsTable(samples, job).rows.map(row => row.join(' | '))).toEqual([
      '2 | 30.0 ms | 45.0 ms | 1.500 (1.500 - 1.500) | all',
      '8 | 120 ms | 30.0 ms | 0.250 (0.250 - 0.250) | sorted',
    ])
  })

  it('are measured by the peer at the same sizes', () => {
    const { program, arguments: given } = torchCommand('python', job)
    expect([program, ...given.slice(1)].join(' ')).toBe(
      'python --samples 16000 --patches 4 --width 50 --experts 8 --filters 8 --warm-up 2 --rounds 15',
    )
    expect(given[0]).toMatch(/bench\/peers\/torch_sample_moe\.py$/)
  })
})

describe('the layer', () => {
  const layer = {
    name: '4x4',
    side: 16,
    channels: 640,
    batch: 16,
    experts: 8,
    patch: 4,
    kernel: 3,
    keeps: [2, 8],
  } as const
  const report: ChildReport = {
    software: 'test',
    seconds: {
      'conv 3x3': [0.1, 0.2],
      'moe 2': [0.015, 0.03],
      'moe 8': [0.06, 0.12],
      'masked 2': [0.15, 0.3],
      'masked 8': [0.15, 0.3],
    },
    facts: {},
  }

  it('is set against convolution and masked form for every l, with a line through the medians', () => {
    const table = layerTable(layer, report)
    expect(cells(table, 0)).toBe('2 | 0.125 | 22.5 ms | 18.8 ms - 26.3 ms | 0.150 | 225 ms | 0.100')
    expect(table.notes).toEqual([
      'Conv2D 3x3: 150 ms (125 ms - 175 ms)',
      'straight line through the medians: 11.3 ms l + 0.0 µs, R^2 = 1.0000',
    ])
  })

  it('is compared with its targets at an eighth of the patches', () => {
    const { 'layer 4x4': ratio, 'line 4x4': line } = layerTargets(layer, report)
    expect(ratio?.value).toBeCloseTo(0.15, 12)
    expect(line?.value).toBeCloseTo(1, 12)
    expect(
      layerTargets({ ...layer, keeps: [4, 8] }, { ...report, seconds: { 'moe 4': [1], 'moe 8': [2] } }),
    ).toEqual({
      'line 4x4': { value: 1 },
    })
  })

  it('stands for a 3x3 convolution where its own is 1x1', () => {
    const single = { ...layer, name: '1x1', side: 4, patch: 1, kernel: 1 } as const
    const seconds = { ...report.seconds, 'conv 1x1': [0.03, 0.06] }
    const measured = layerTargets(single, { ...report, seconds })
    expect(measured['layer 1x1']?.value).toBeCloseTo(0.5, 12)
    expect(measured['layer 1x1 for 3x3']?.value).toBeCloseTo(0.15, 12)
  })
})

it('prediction is compared batch by batch', () => {
  const report = {
    software: 'test',
    seconds: { 'wrn 64': [1, 2], 'wrn-pmoe 64': [0.8, 1.6] },
    facts: { wrn: 4e9, 'wrn-pmoe': 3e9 },
  }
  expect(predictionRow(setting, 64, report).join(' | ')).toBe(
    '64x64 | 64 | 1.500 s | 1.200 s | 0.800 (0.800 - 0.800) | 0.750 | 53',
  )
})

it('a pruned mixture is compared with the whole one, in time, work and size', () => {
  const report = {
    software: 'test',
    seconds: { 'whole 64': [1, 2], 'pruned 64': [0.7, 1.4] },
    facts: { 'whole FLOP': 4e9, 'pruned FLOP': 2.8e9, 'whole bytes': 3e7, 'pruned bytes': 2e7 },
  }
  const pruned = { size: 64, classes: 4, widen: 1, experts: 8, keep: 2, patch: 4, kernel: 3, expertsKept: 4 }
  expect(pruningRow(pruned, 64, report).join(' | ')).toBe(
    '64x64, 8 to 4 experts | 64 | 1.500 s | 1.050 s | 0.700 (0.700 - 0.700) | 0.700 | 30.0 MB | 20.0 MB',
  )
  // 0.7 of the time for 0.7 of the work.
  const measured = pruningTargets(report)['pruned time/work']!
  expect(measured.value).toBeCloseTo(1, 12)
})

it('backends are compared with the plain and the native one', () => {
  const reports = new Map([
    ['wrn on wasm', [training(0.2)]],
    ['wrn on cpu', [training(5)]],
  ])
  const { title, rows } = backendTable(new Sitting(reports), ['wasm', 'cpu'], { size: 32, batch: 16 })
  expect(title).toBe('Backends: a training step of WRN-10-1, 32x32, batch 16')
  expect(rows.map(row => row.join(' | '))).toEqual([
    'wrn | wasm | 200 ms | 200 ms - 200 ms | 0.040 (0.040 - 0.040) | not measured',
    'wrn | cpu | 5.000 s | 5.000 s - 5.000 s | 1 | not measured',
  ])
})

it('the input pipeline is compared with a training step', () => {
  const report = {
    software: 'test',
    seconds: {
      compose: [0.5],
      batches: [0.1],
      'uploaded batches': [0.2],
      'step on a fixed batch': [1],
      'step on fresh batches': [1.03],
    },
    facts: { batches: 50 },
  }
  const table = pipelineTable({ size: 32, batch: 64, images: 50_000, composed: 10_000 }, report)
  expect(table.rows.map(row => row.join(' | '))).toEqual([
    'load and compose 10,000 fashion-quadrants | 500 ms | 20,000 | ',
    'a shuffled batch of 50,000 images | 2.0 ms | 32,000 | 0.2 %',
    'the same, uploaded and scaled | 4.0 ms | 16,000 | 0.4 %',
    'a training step on a fixed batch | 1.000 s | 64 | 100.0 %',
    'a training step on fresh batches | 1.030 s | 62 | 103.0 %',
  ])
  expect(table.notes).toEqual(['step on fresh batches / step on a fixed batch: 1.030 (1.030 - 1.030)'])
  expect(pipelineTargets(report)).toEqual({ 'step fresh': { value: 1.03, quartiles: [1.03, 1.03] } })
})

it('reading records is compared with the reader of the package', () => {
  const seconds = { read: [0.5], 'read images': [1], 'read by the package': [2], write: [0.25] }
  const report = { software: 'test', seconds, facts: { records: 100_000, 'package records': 10_000 } }
  expect(recordsTable(report).rows.map(row => row.join(' | '))).toEqual([
    'read, checksums checked | 5.0 µs | 200,000 | 40.0',
    'the same, decoded to pixels and label | 10.0 µs | 100,000 | 20.0',
    'read and decoded by the package | 200.0 µs | 5,000 | 1.000',
    'encode, with checksums | 2.5 µs | 400,000 | 80.0',
  ])
})

it('decoding is compared with sharp and with Pillow, process by process', () => {
  const own = (slowness: number) => ({
    software: 'test',
    seconds: { decode: [1, 2, 9], sharp: [8], 'sharp, 4 in flight': [4] },
    facts: { images: 1000 * slowness },
  })
  const peer = { software: 'Pillow', seconds: { full: [1], draft: [0.5] }, facts: { images: 1000 } }
  const alone = new Sitting(new Map([['decoding', [own(1)]]]))
  expect(decodingTable(alone).rows.map(row => row.join(' | '))).toEqual([
    'ours, in one thread | 2.0 ms | 500 | 1.000 (1.000 - 1.000)',
    'sharp alone, one after the other | 8.0 ms | 125 | 0.250 (0.250 - 0.250)',
    'sharp alone, 4 in flight | 4.0 ms | 250 | 0.500 (0.500 - 0.500)',
    'Pillow, full size, then bilinear | not measured |  | ',
    'Pillow, half size (draft), then bilinear | not measured |  | ',
  ])
  expect(decodingTargets(alone)).toEqual({})
  const both = new Sitting(
    new Map([
      ['decoding', [own(1), own(2)]],
      ['Pillow', [peer, peer]],
    ]),
  )
  expect(
    decodingTable(both)
      .rows.slice(3)
      .map(row => row.join(' | ')),
  ).toEqual([
    'Pillow, full size, then bilinear | 1.0 ms | 1,000 | 1.500 (1.250 - 1.750)',
    'Pillow, half size (draft), then bilinear | 500.0 µs | 2,000 | 3.000 (2.500 - 3.500)',
  ])
  expect(decodingTargets(both)).toEqual({ 'decode/pillow': { value: 1.5, quartiles: [1.25, 1.75] } })
})

it('composing counts images a second', () => {
  const seconds = { quadrants: [0.1], backgrounds: [0.2], 'patch grids': [0.4] }
  const report = { software: 'test', seconds, facts: { images: 20_000, 'patch grids': 2000 } }
  expect(composingTable(report).rows.map(row => row.join(' | '))).toEqual([
    'four images of 16x16 RGB in quadrants | 5.0 µs | 200,000',
    'an image of 16x16 RGB on a background of 32x32 | 10.0 µs | 100,000',
    'a grid of 4x4 grey images of 28x28 | 200.0 µs | 5,000',
  ])
})

it('preparing images shows its memory from tenth to tenth', () => {
  const facts = {
    images: 20,
    'bytes at the start': 1e8,
    'bytes after 2 images': 2e8,
    'bytes after 4 images': 3e8,
    'peak bytes': 4e8,
  }
  const table = memoryCurve({ software: 'test', seconds: { prepare: [0.1] }, facts })
  expect(table.rows.map(row => row.join(' | '))).toEqual([
    'at the start | 0.10 GB | 0.500',
    'after 2 images | 0.20 GB | 1.000',
    'after 4 images | 0.30 GB | 1.500',
    'at most | 0.40 GB | 2.000',
  ])
  expect(table.notes).toEqual(['200 images/s'])
})

it('epochs over prepared images are compared with steps on a fixed batch', () => {
  const of = (name: string, epoch: number, first: number, waiting: number) => ({
    [name]: [epoch],
    [`${name} first`]: [first],
    [`${name} waiting`]: [waiting],
  })
  const seconds = {
    'a fixed batch': [8],
    ...of('in memory', 10, 0.1, 0.5),
    ...of('streamed', 12, 0.2, 3),
    ...of('streamed ahead', 10.5, 0.3, 0.1),
  }
  const report = { software: 'test', seconds, facts: { batches: 100 } }
  const table = epochTable({ size: 32, batch: 64, widen: 2, images: 4096 }, report)
  expect(table.sentence).toContain('an epoch of WRN-10-2 over 4,096 images of 32x32, batch 64')
  expect(table.rows.map(row => row.join(' | '))).toEqual([
    'a fixed batch | 8.000 s | 1 |  |  | ',
    'in memory | 10.000 s | 1.250 (1.250 - 1.250) | 100 ms | 5.0 ms | 5.0 %',
    'streamed | 12.000 s | 1.500 (1.500 - 1.500) | 200 ms | 30.0 ms | 25.0 %',
    'streamed ahead | 10.500 s | 1.313 (1.313 - 1.313) | 300 ms | 1.0 ms | 1.0 %',
  ])
  expect(epochTargets(report)).toEqual({ 'epoch ahead': { value: 1.3125, quartiles: [1.3125, 1.3125] } })
})

it('the epoch with augmentation: the share of waiting, and its target', () => {
  const seconds = {
    none: [10, 10],
    'none waiting': [0.01, 0.01],
    light: [10.2, 10.2],
    'light waiting': [0.051, 0.051],
    strong: [11, 11],
    'strong waiting': [1.1, 1.1],
    'light between steps': [10.5, 10.5],
    'light between steps waiting': [0.5, 0.5],
  }
  const report = { software: 'test', seconds, facts: { batches: 10 } }
  const table = augmentationTable({ size: 32, batch: 128, widen: 2, images: 1280 }, report)
  expect(table.sentence).toContain('an epoch of WRN-10-2 over 1,280 images of 32x32 in memory, batch 128')
  expect(table.rows.map(row => row.join(' | '))).toEqual([
    'none | 10.000 s | 1 | 1.0 ms | 0.1 %',
    'light | 10.200 s | 1.020 (1.020 - 1.020) | 5.1 ms | 0.5 %',
    'strong | 11.000 s | 1.100 (1.100 - 1.100) | 110 ms | 10.0 %',
    'light between steps | 10.500 s | 1.050 (1.050 - 1.050) | 50.0 ms | 4.8 %',
  ])
  expect(augmentationTargets(report)).toEqual({
    'augment light': { value: 1.02, quartiles: [1.02, 1.02] },
  })
})

describe('bench', () => {
  /** A runner that knows no more than a training process tells. */
  const pretend = (ran: ChildCommand[]) => async (command: ChildCommand) => {
    ran.push(command)
    return training(1)
  }

  it('runs only what is asked for, as often as asked', async () => {
    const ran: ChildCommand[] = []
    const options = parseOptions(['--only', 'b', '--repeats', '2', '--backend', 'wasm'])
    const { tables, measured, command } = await bench(options, pretend(ran), () => {})
    expect(tables.map(({ letter }) => letter)).toEqual(['b'])
    expect(measured['pmoe/wrn']).toEqual({ value: 1, quartiles: [1, 1] })
    expect(command).toBe('npm run bench -- --only b --backend wasm --repeats 2')
    // Two sizes of image, two rounds, two networks, normal and low memory.
    expect(ran).toHaveLength(16)
    const job = JSON.parse(ran[1]!.arguments.at(-1)!) as Job
    expect(job).toMatchObject({
      workload: 'training',
      network: 'wrn-pmoe',
      backend: 'wasm',
      size: 64,
      rounds: 7,
    })
    expect(ran[0]!.environment).toMatchObject({ TF_CPP_MIN_LOG_LEVEL: '2' })
  })

  it('says nothing of targets from tiny sizes', async () => {
    const { measured } = await bench(parseOptions(['--only', 'b', '--quick']), pretend([]), () => {})
    expect(measured).toEqual({})
  })

  it('refuses a folder without peers before anything runs', async () => {
    const ran: ChildCommand[] = []
    const running = bench(parseOptions(['--peers', '/nowhere']), pretend(ran), () => {})
    await expect(running).rejects.toThrow('got /nowhere (no /nowhere/bin/python)')
    expect(ran).toEqual([])
  })
})

describe('frozen and exported networks', () => {
  it('are judged by the worst of all: beyond the work in ONNX Runtime, and beside it on native TensorFlow', () => {
    const row = { model: 'a', backend: 'tensorflow', threads: 1 } as const
    const targets = frozenTargets([
      { ...row, engine: 'onnx', batch: 1, over: { dense: 0.8 }, work: 0.75 },
      { ...row, engine: 'onnx', batch: 8, over: { dense: 1 }, work: 0.75 },
      { ...row, engine: 'layers', batch: 1, over: { dense: 9, onnx: 9 }, work: 0.75 },
      { ...row, engine: 'forInference', batch: 1, over: { onnx: 2 } },
      { ...row, engine: 'forInference', batch: 32, over: { onnx: 1.25 } },
      { ...row, engine: 'forInference', batch: 32, over: { onnx: 1.5 } },
      { ...row, engine: 'onnx', batch: 32, error: 'no' },
    ])
    expect(targets).toEqual({
      'onnx time/work': { value: 0.25 },
      'native/onnx 1': { value: 2 },
      'native/onnx 32': { value: 1.5 },
    })
  })
})
