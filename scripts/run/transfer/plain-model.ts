import { existsSync } from 'node:fs'
import type { PixelScaling } from '../../../src/layers/input-scaling.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { withInputScaling } from '../../../src/models/input-scaling.js'
import { openRun } from '../../../src/run/run-folder.js'
import { readClassNames } from '../../terminal/class-names.js'
import { noteText } from '../../terminal/safe-output.js'
import { asUsage, UsageError } from '../../terminal/usage-error.js'
import { type OpenedModel, openModel } from '../opened-model.js'
import { chosenScaling } from './input-scaling.js'

/** What a person says of a model that no run knows. */
export interface PlainModelRequest {
  /** Names by commas, or a file of them. */
  readonly classNames?: string
  readonly inputScaling?: PixelScaling | 'auto'
  /** Whether the classes of a run may get other names, as in what is written for other programs; they may not unless it is given. */
  readonly renamesClasses?: boolean
}

/**
 * Opens the model of a run, or another one with the scaling of pixels that it needs in front and its classes; what was
 * recognised of it is said on the error stream.
 *
 * @param command for errors
 * @throws UsageError for names of a run's classes or of more or fewer than the model's outputs, or a scaling that does not fit;
 *   Error as `openModel`
 */
export async function askedModel(
  path: string,
  command: string,
  { classNames, inputScaling, renamesClasses = false }: PlainModelRequest,
): Promise<OpenedModel> {
  if (!existsSync(path)) await openRun(path)
  const opened = await openModel(path)
  if (opened.config && classNames !== undefined && !renamesClasses) {
    throw new UsageError(
      `${command}: --class-names must be left out for a run, which knows its classes, got ${classNames}`,
    )
  }
  return withScaling(await withClassNames(opened, command, classNames), command, inputScaling)
}

async function withClassNames(
  { classNames: stored, ...opened }: OpenedModel,
  command: string,
  given: string | undefined,
): Promise<OpenedModel> {
  const { directory, model } = opened
  if (given === undefined) return { ...opened, ...(stored && { classNames: stored }) }
  const names = await readClassNames(command, given)
  const [output, ...others] = model.outputs
  // What is no classifier is refused where its answers are asked for.
  const [, outputs] = output?.shape ?? []
  if (!outputs || output?.shape.length !== 2 || others.length > 0) return { ...opened, classNames: names }
  const count = outputs === 1 ? 2 : outputs
  if (names.length === count) return { ...opened, classNames: names }
  throw new UsageError(
    `${command}: --class-names must name the ${count} classes of ${directory}, got ${names.length} names`,
  )
}

function withScaling(
  opened: OpenedModel,
  command: string,
  asked: PlainModelRequest['inputScaling'],
): OpenedModel {
  const { config, model, directory } = opened
  if (config && asked !== undefined) {
    throw new UsageError(
      `${command}: --input-scaling must be left out for a run, which has its own, got ${asked} for ${directory}`,
    )
  }
  if (config || model.inputs.length !== 1) return opened
  const { scaling, isMissing, note } = chosenScaling(opened, command, asked)
  if (!isMissing) return opened
  const scaled = asUsage(() => withInputScaling(model, scaling))
  disposeModel(model)
  if (note !== undefined && asked !== scaling) process.stderr.write(`${noteText(note)}\n`)
  return { ...opened, model: scaled }
}
