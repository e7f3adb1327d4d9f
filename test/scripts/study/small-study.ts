import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CellResult } from '../../../scripts/study/cell-result.js'
import type { TrainingStudy } from '../../../scripts/study/cell-run.js'
import { studyConfig } from '../../../scripts/study/study-config.js'

/** A study of two seeds, two numbers of images and two variants that train in a second. */
export function smallStudy(changes: Partial<TrainingStudy> = {}): TrainingStudy {
  const config = studyConfig({ experiment: 'fig4', scale: 'small', seeds: 2 }, 'wasm', {
    patchMoe: '0.0.0',
    tfjs: '4.22.0',
    node: '20.0.0',
  })
  const grid = {
    kind: 'training',
    variants: [
      { name: 'CNN', model: 'two-layer', flags: {} },
      { name: 'pMoE', model: 'two-layer-pmoe', flags: { experts: 2, patchesPerExpert: 3 } },
    ],
    samples: [20, 40],
    flags: { epochs: 2, batchSize: 10, lr: 0.2, hiddenUnits: 8, testSamples: 30 },
  } as const
  return { ...config, grid, ...changes }
}

/** A new folder that nothing else uses. */
export function newFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'study-'))
}

/** The result of a cell that trained to an accuracy. */
export function doneResult(
  index: number,
  cell: Omit<CellResult['cell'], 'index'>,
  testAccuracy: number,
  more: object = {},
): CellResult {
  return {
    status: 'done',
    cell: { index, ...cell },
    trained: {
      testAccuracy,
      testLoss: 0.5,
      trainAccuracy: 1,
      trainLoss: 0.1,
      epochs: 4,
      steps: 40,
      seconds: 8,
      parameters: 100,
      multiplyAdds: 1000,
      ...more,
    },
    took: 10,
    ended: '2026-01-01T00:00:00.000Z',
  }
}
