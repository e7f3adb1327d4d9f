import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { TransferExperiment } from '../../experiments/transfer-experiment.js'
import { duration } from '../../terminal/training-log.js'
import { UsageError } from '../../terminal/usage-error.js'
import type { DoneCell } from '../cell-result.js'
import type { StudyConfig } from '../study-config.js'
import { transferTo } from '../transfer/transfer-cell.js'
import {
  transferBrief,
  transferFigure,
  transferFindings,
  transferTables,
} from '../transfer/transfer-report.js'
import { summarizeTransfer } from '../transfer/transfer-summary.js'
import { points } from '../wording.js'
import { refuseFolders, type StudyKind } from './study-kind.js'

/** Studies of where a mixture pays; `--network` names a pretrained network, without it a small one is pretrained. */
export const transferStudies: StudyKind<'transfer'> = {
  takesNetwork: true,
  dataSentence: ({ data, ownNetwork }, { network }) =>
    network === undefined ? `${data} ${ownNetwork}` : data,
  isStandIn: () => false,
  checkFiles,
  async run({ folder, grid, cell, signal }) {
    return { transferred: await transferTo(grid, cell, { network: folder.config.network, signal }) }
  },
  report(experiment, _, results) {
    const summary = summarizeTransfer(results)
    return {
      summary,
      findings: transferFindings(summary),
      brief: transferBrief(summary),
      tables: transferTables(summary),
      spec: transferFigure(experiment, summary),
    }
  },
  resultText,
  commonSettings: ({ training, testSamples }) => [
    ['Test images', String(testSamples)],
    ...Object.entries(training).map(
      ([
        origin,
        {
          steps,
          leastEpochs,
          batchSize,
          learningRates: { dense, mixture },
        },
      ]) =>
        [
          `Training, ${origin}`,
          `about ${steps} steps of ${batchSize} images, whole epochs, at least ${leastEpochs}; Adam, cosine from ${dense} (dense) and ${mixture} (mixtures)`,
        ] as const,
    ),
  ],
}

function checkFiles(_: TransferExperiment, config: StudyConfig): void {
  refuseFolders(config, 'images of the package')
  const { network } = config
  if (network === undefined || existsSync(join(network, 'model.json'))) return
  throw new UsageError(
    `study: --network must be the folder of a tfjs network, got ${network}, which holds no model.json`,
  )
}

function resultText({ transferred, took }: DoneCell): string {
  if (!transferred) return 'no result'
  const maps = [...new Set(transferred.layers.map(({ map }) => map))].map(side => {
    const list = transferred.layers
      .filter(({ map }) => map === side)
      .map(
        ({ kept, testAccuracy }) => `${kept === undefined ? 'dense' : `${kept} %`} ${points(testAccuracy)}`,
      )
    return `${side}x${side} ${list.join(', ')}`
  })
  return `${maps.join('; ')}, ${duration(took)}`
}
