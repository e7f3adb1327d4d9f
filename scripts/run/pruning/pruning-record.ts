import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { modelFolderFiles } from '../../../src/files/model-files.js'
import type { BeforeAndAfter, PruningReceipt } from '../../../src/prune/index.js'
import { expertTitle } from '../../../src/report/expert-title.js'
import { textTable } from '../../terminal/text-table.js'
import { percent } from '../../terminal/training-log.js'

/** What `pruning.json` of a run folder says. */
export interface PruningRecord {
  /** Folder of the run whose network was pruned. */
  readonly from: string
  /** Of random scores and of the images that scores were taken from. */
  readonly seed: number
  /** One for each mixture that was pruned; experts count from 0. */
  readonly layers: readonly PruningReceipt[]
  /** Of the saved network, in bytes. */
  readonly bytes?: BeforeAndAfter
  /** Shares of the test images; absent where the images were not at hand. */
  readonly accuracy?: BeforeAndAfter & { readonly images: number; readonly fineTuned?: number }
}

/** Bytes of a saved model on the disk. */
export async function savedBytes(folder: string): Promise<number> {
  const sizes = await Promise.all(modelFolderFiles.map(async file => (await stat(join(folder, file))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** What was pruned and what it saves, in a few lines for a person. */
export function recordText(record: PruningRecord): string {
  const { layers, bytes, accuracy } = record
  const [first] = layers
  const rows = [
    ...(first
      ? [numbersRow('parameters', first.parameters), numbersRow('multiply-adds', first.multiplyAdds)]
      : []),
    ...(bytes ? [numbersRow('bytes on disk', bytes)] : []),
    ...(accuracy ? [accuracyRow(accuracy)] : []),
  ]
  const warnings = layers.flatMap(layer => layer.warnings.map(text => `Note: ${text}`))
  return [
    ...layers.map(layerText),
    ...warnings,
    '',
    textTable(['', 'before', 'after', 'after / before'], rows),
    '',
    differenceText(Math.max(0, ...layers.map(({ difference }) => difference))),
  ].join('\n')
}

function differenceText(difference: number): string {
  const masked = 'the unpruned network with the same experts masked'
  return difference === 0
    ? `Outputs are those of ${masked}, to the last bit.`
    : `Outputs differ by ${difference.toExponential(1)} at most from those of ${masked}: rounding.`
}

function layerText(receipt: PruningReceipt): string {
  const { layer, criterion, kept, removed, operator, compensate, reference, expertNames, tied } = receipt
  const by = reference ? `${criterion} against ${reference.path}` : criterion
  if (removed.length === 0) return `${layer}: all ${kept.length} experts stay.`
  const tiedText =
    tied.length === 0
      ? ''
      : ` Scores of ${tied.length} experts are equal across the cut: the lower numbers stay.`
  const compensation = compensate === 'none' ? '' : `, compensated by ${compensate}`
  const stay = kept.map((_, place) => titleOf(expertNames[place], kept[place] as number))
  return `${layer}: ${kept.length} of ${kept.length + removed.length} experts stay (${stay.join(', ')}), chosen by ${by}; operator ${operator}${compensation}.${tiedText}`
}

/** The number of an expert for people, from 1, or its name. */
function titleOf(name: string | undefined, position: number): string {
  return expertTitle(name === undefined ? {} : { name }, position).replace(/^expert /, '')
}

function numbersRow(name: string, { before, after }: BeforeAndAfter): string[] {
  return [name, count(before), count(after), percent(after / before)]
}

function accuracyRow({ before, after, images }: BeforeAndAfter & { readonly images: number }): string[] {
  return [`accuracy on ${count(images)} test images`, percent(before), percent(after), points(after - before)]
}

/** A difference of shares in points: `-3.0 points`. */
function points(difference: number): string {
  return `${difference > 0 ? '+' : ''}${(100 * difference).toFixed(1)} points`
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
