import { existsSync } from 'node:fs'
import { duration } from '../../terminal/training-log.js'
import { UsageError } from '../../terminal/usage-error.js'
import type { DoneCell } from '../cell-result.js'
import { localiseWith } from '../localise/localise-cell.js'
import {
  localiseBrief,
  localiseFigure,
  localiseFindings,
  localiseTables,
  summarizeLocalise,
} from '../localise/localise-report.js'
import type { StudyConfig } from '../study-config.js'
import { points } from '../wording.js'
import type { StudyKind } from './study-kind.js'

/** Studies of where networks look; `--data` names a study of kind `megapixel` that has trained them, without it they are trained. */
export const localiseStudies: StudyKind<'localise'> = {
  dataSentence: ({ data }) => data,
  isStandIn: () => false,
  checkFiles,
  async run({ folder, grid, cell, backend, checkpoints, signal }) {
    const localised = await localiseWith(grid, cell, {
      backend,
      checkpoints,
      signal,
      trained: folder.config.data,
      keepConfig: run => folder.keepCellConfig(cell.index, { cell, run }),
    })
    return { localised }
  },
  report(experiment, grid, results) {
    const summary = summarizeLocalise(grid, results)
    return {
      summary,
      findings: localiseFindings(summary),
      brief: localiseBrief(summary),
      tables: localiseTables(summary),
      spec: localiseFigure(experiment, summary),
    }
  },
  resultText,
  commonSettings: ({ images, steps, batchSize }) => [
    ['Images judged', `at most ${images}`],
    ['Training steps', `about ${steps}, whole epochs, ${batchSize} images each`],
  ],
}

function checkFiles(_: unknown, { data, standIn }: StudyConfig): void {
  if (standIn !== null) {
    throw new UsageError('study: --stand-in must be left out for localise: it takes images that are drawn')
  }
  if (data !== null && !existsSync(data)) {
    throw new UsageError(
      `study: --data must name the folder of a study megapixel, got ${data}, which is not there`,
    )
  }
}

function resultText({ localised, took }: DoneCell): string {
  if (!localised) return 'no result'
  const list = localised.pointing.map(({ method, near }) => `${method} ${points(near)} %`)
  return `${list.join(', ')}, ${duration(took)}`
}
