import { describe, expect, it } from 'vitest'
import { inTurn, type LatencySettings, latencyPlan } from '../../../scripts/run/measuring/latency-plan.js'
import { latencyRows, latencyTable } from '../../../scripts/run/measuring/latency-table.js'
import type { PreparedModel } from '../../../scripts/run/measuring/prepared-model.js'
import { Sitting } from '../../../scripts/run/measuring/sitting.js'

const inputs = [{ shape: [2, 2, 1] }]
const mixture: PreparedModel = { name: 'a', tfjs: 'a', onnx: 'a.onnx', inputs, multiplyAdds: 30 }
const dense: PreparedModel = {
  ...{ name: 'a, dense', denseOf: 'a', tfjs: 'd', inputs, multiplyAdds: 40 },
  notExported: 'no',
}
const settings: LatencySettings = {
  batches: [1, 8],
  threads: [1, 2],
  backends: ['wasm', 'onnxruntime'],
  ...{ rounds: 2, warmUp: 1, runs: 3, seconds: 1 },
}

const report = (...predict: number[]) => ({
  ...{ software: 'ours', seconds: { predict }, facts: { peakBytes: 100 * predict[0]! } },
})

describe('a plan', () => {
  it('has each engine, number of threads and batch size; wasm has one thread', () => {
    const plan = latencyPlan([mixture], settings)
    expect(plan.map(({ who }) => who)).toEqual([
      'a, layers on wasm, 1 thread, batch 1',
      'a, layers on wasm, 1 thread, batch 8',
      'a, forInference on wasm, 1 thread, batch 1',
      'a, forInference on wasm, 1 thread, batch 8',
      'a, ONNX Runtime, 1 thread, batch 1',
      'a, ONNX Runtime, 1 thread, batch 8',
      'a, ONNX Runtime, 2 threads, batch 1',
      'a, ONNX Runtime, 2 threads, batch 8',
    ])
    expect(plan[7]?.full).toEqual({
      ...{ kind: 'latency', engine: 'onnx', path: 'a.onnx', backend: 'onnxruntime', threads: 2, batch: 8 },
      ...{ inputs, warmUp: 1, runs: 3, seconds: 1 },
    })
  })

  it('is taken so that what is compared follows each other', () => {
    const plan = latencyPlan([mixture, { ...mixture, name: 'b' }], { ...settings, threads: [1] })
    expect(inTurn(plan).map(({ who }) => who.replace(', 1 thread, batch', ''))).toEqual([
      ...['a, layers on wasm 1', 'b, layers on wasm 1'],
      ...['a, forInference on wasm 1', 'b, forInference on wasm 1'],
      ...['a, ONNX Runtime 1', 'b, ONNX Runtime 1'],
      ...['a, layers on wasm 8', 'b, layers on wasm 8'],
      ...['a, forInference on wasm 8', 'b, forInference on wasm 8'],
      ...['a, ONNX Runtime 8', 'b, ONNX Runtime 8'],
    ])
  })

  it('measures a file that was named with what runs it, whatever backends are asked for', () => {
    const backends = ['cpu'] as const
    const files = [
      { name: 'x', onnx: 'x.onnx', inputs },
      { name: 'y', savedmodel: 'y', inputs },
    ]
    const plan = latencyPlan(files, { ...settings, backends, batches: [1], threads: [3] })
    expect(plan.map(({ job }) => job)).toEqual([
      { engine: 'onnx', backend: 'onnxruntime', threads: 3, batch: 1 },
      { engine: 'savedmodel', backend: 'tensorflow', threads: 3, batch: 1 },
    ])
  })
})

describe('rows', () => {
  const plan = latencyPlan([mixture, dense, { name: 'b', problem: 'b: no' }], {
    ...settings,
    threads: [1],
    batches: [8],
  })
  const sitting = new Sitting(
    new Map([
      ['a, layers on wasm, 1 thread, batch 8', [report(4), report(8)]],
      // Round by round: 3 / 4 and 9 / 10 of the dense network, 3 / 1 and 9 / 2 of ONNX Runtime.
      ['a, forInference on wasm, 1 thread, batch 8', [report(3, 3), report(9, 1, 9)]],
      ['a, ONNX Runtime, 1 thread, batch 8', [report(1), report(2)]],
      ['a, dense, forInference on wasm, 1 thread, batch 8', [report(4), report(10)]],
    ]),
    new Map([['a, dense, layers on wasm, 1 thread, batch 8', 'out of memory']]),
  )
  const rows = latencyRows(plan, sitting)

  it('hold times over all processes, and ratios round by round', () => {
    const [layers, frozen, onnx] = rows
    expect(frozen).toEqual({
      ...{ model: 'a', engine: 'forInference', backend: 'wasm', threads: 1, batch: 8, software: 'ours' },
      ...{ seconds: { median: 3, percentile95: 9, count: 5 }, samplesPerSecond: 8 / 3, peakBytes: 900 },
      ...{ over: { dense: (3 / 4 + 9 / 10) / 2, onnx: (3 + 9 / 2) / 2 }, work: 0.75 },
    })
    expect(layers?.over).toEqual({ onnx: 4 })
    expect(onnx?.over).toEqual({})
  })

  it('name what failed, each on its line, and keep the others', () => {
    expect(rows.slice(3).map(({ model, engine, error }) => [model, engine, error])).toEqual([
      ['a, dense', 'layers', 'out of memory'],
      ['a, dense', 'forInference', undefined],
      ['a, dense', 'onnx', 'no'],
      ['b', undefined, 'b: no'],
    ])
    const table = latencyTable(rows)
    expect(table.failures).toEqual(['[1] out of memory', '[2] no', '[3] b: no'])
    expect(table.head).toEqual([
      ...['model', 'computed by', 'threads', 'batch', 'median', '95 %', 'samples/s'],
      ...['/ dense', 'work', '/ ONNX'],
    ])
    expect(table.rows[1]).toEqual([
      ...['a', 'forInference, wasm', '1', '8', '3.000 s', '9.000 s', '2.67', '0.825', '0.750', '3.750'],
    ])
    expect(table.rows.at(-1)).toEqual(['b', '', '', '', 'failed [3]', '', '', '', '', ''])
  })

  it('compare further models with the first that was named', () => {
    const files = ['x', 'y'].map(name => ({ name, onnx: `${name}.onnx`, inputs }))
    const plan = latencyPlan(files, { ...settings, batches: [1], threads: [1] })
    const sitting = new Sitting(
      new Map([
        ['x, ONNX Runtime, 1 thread, batch 1', [report(2)]],
        ['y, ONNX Runtime, 1 thread, batch 1', [report(3)]],
      ]),
    )
    expect(latencyRows(plan, sitting).map(({ over }) => over)).toEqual([{}, { first: 1.5 }])
    const alone = latencyRows(plan, sitting, { overFirst: false })
    expect(alone.map(({ over }) => over)).toEqual([{}, {}])
  })
})
