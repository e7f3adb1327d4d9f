import { realpath } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type * as tfl from '@tensorflow/tfjs-layers'
import { type BackendChoice, type BackendName, useBackend } from '../../src/backend/choose.js'
import { shellCommand } from '../../src/cluster/shell-command.js'
import { refuseLocked } from '../../src/files/lock.js'
import {
  type BeforeAndAfter,
  type Criterion,
  type PruningOperator,
  pruneExperts,
} from '../../src/prune/index.js'
import { checkRunPlace, lockedRun, openRun, type RunFolder } from '../../src/run/run-folder.js'
import { modelRouters } from '../../src/run/starting-routers.js'
import { evaluate } from '../../src/train/evaluate.js'
import { followRun, type StartedRun } from '../run/followed-run.js'
import { refuseRouted } from '../run/opened-model.js'
import { panelText } from '../run/pruning/panel-text.js'
import { fineTuningEpochs, prunedConfig, startOfPruned } from '../run/pruning/pruned-run.js'
import { type PruningImages, someImages } from '../run/pruning/pruning-images.js'
import { pruningPanels } from '../run/pruning/pruning-panel.js'
import { type PruningRecord, recordText, savedBytes } from '../run/pruning/pruning-record.js'
import { routersAtStart } from '../run/pruning/pruning-reference.js'
import { openSource, type PruningSource, type SourceRequest } from '../run/pruning/pruning-source.js'
import { loadData } from '../run/run-data.js'
import { namingFlags } from '../run/train-settings.js'
import { checkLayers, checkOptimizer, useComputeSettings } from '../run/training-run.js'
import { interruptedExitCode, onInterrupt } from '../terminal/interrupt.js'
import { percent } from '../terminal/training-log.js'
import { asUsage, asUsageLater, UsageError } from '../terminal/usage-error.js'

/** The flags of `pmoe prune`. */
export interface PruneRequest extends SourceRequest {
  readonly operator?: PruningOperator
  readonly fineTune?: number
  readonly out?: string
  readonly force?: boolean
  readonly backend?: BackendName | 'auto'
  readonly json?: boolean
}

/** Test images that the networks of `--criterion all` are measured on, at most. */
const panelImages = 1000

/**
 * Prunes the network of a run into a run of its own, or compares the criteria; Ctrl-C leaves nothing, or, once a pruned
 * network is trained, a run that can be resumed.
 *
 * @throws UsageError for flags that do not fit together, the network or the images
 */
export async function runPrune(path: string, request: PruneRequest): Promise<void> {
  checkFlags(request)
  const run = await openRun(path)
  refuseRouted(run, 'prune: experts must be those of a mixture in a network of whole images')
  const { out } = request
  if (out !== undefined) await checkPlace(run, out, request.force === true)
  const backend = await useBackend(request.backend ?? 'auto')
  const interrupt = onInterrupt(() => process.stderr.write('Stopping; nothing is written ...\n'))
  try {
    const source = await openSource(run, request, interrupt.signal)
    if (out === undefined) {
      await compareCriteria(source, request)
      return
    }
    const pruned = await prune(source, request)
    interrupt.signal.throwIfAborted()
    interrupt.release()
    await keepPruned(source, pruned, { ...request, out }, backend)
  } catch (error) {
    if (!interrupt.signal.aborted) throw error
    process.exitCode = interruptedExitCode
  } finally {
    interrupt.release()
  }
}

function checkFlags({ criterion, keep, ratio, threshold, out, ...others }: PruneRequest): void {
  if (criterion === 'all') {
    const { operator, fineTune, force, compensate } = others
    const writing = { ratio, threshold, operator, 'fine-tune': fineTune, out, force }
    const given = Object.entries(writing).filter(([, value]) => value !== undefined)
    const flags = [...given.map(([name]) => `--${name}`), ...(compensate === 'none' ? [] : ['--compensate'])]
    if (flags.length === 0) return
    throw new UsageError(
      `prune: --criterion all must come without flags of what is written, got ${flags.join(' and ')}`,
    )
  }
  const amounts = Object.entries({ keep, ratio, threshold }).filter(([, value]) => value !== undefined)
  if (amounts.length !== 1) {
    const got = amounts.map(([name]) => `--${name}`).join(' and ') || 'none'
    throw new UsageError(`prune: one of --keep, --ratio and --threshold must be given, got ${got}`)
  }
  if (out === undefined) throw new UsageError('prune: --out must name the folder of the new run, got none')
}

async function checkPlace(run: RunFolder, out: string, force: boolean): Promise<void> {
  const [from, to] = await Promise.all([realpath(run.directory), realpath(out).catch(() => undefined)])
  if (from === to) {
    throw new UsageError(`prune: --out must be another folder than that of the run, got ${out}`)
  }
  await refuseLocked(out, 'prune')
  await checkRunPlace(out, { force })
}

async function compareCriteria(source: PruningSource, request: PruneRequest): Promise<void> {
  const { run, model, images, reference, seed, signal, notes } = source
  const { batchSize } = run.config.training
  const test = images && (await someImages(images.test, panelImages, seed))
  const panels = await pruningPanels(model, {
    layer: request.layer,
    keep: request.keep,
    reference,
    scored: images?.scored,
    test,
    batchSize,
    seed,
    signal,
  })
  const whole = test && (await evaluate(model, test, { batchSize, signal })).accuracy
  if (request.json) {
    const measured = test && { accuracy: whole, images: test.count }
    process.stdout.write(`${JSON.stringify({ run: run.directory, ...measured, panels })}\n`)
    return
  }
  const columns = process.stdout.isTTY ? process.stdout.columns : Infinity
  const accuracy =
    whole === undefined || !test
      ? []
      : [
          `With all experts the accuracy is ${percent(whole)}, on ${test.count} test images; nothing is fine-tuned.`,
        ]
  const parts = [...notes, ...panels.map(panel => panelText(panel, columns)), ...accuracy]
  process.stdout.write(`${parts.join('\n\n')}\n`)
}

/** A pruned network that is not kept yet. */
interface Pruned {
  readonly model: tfl.LayersModel
  readonly record: PruningRecord
}

async function prune(source: PruningSource, request: PruneRequest): Promise<Pruned> {
  const { run, model, images, reference, seed, signal } = source
  const { criterion, keep, ratio, threshold, layer, operator, compensate } = request
  const { model: pruned, receipts } = await asUsageLater(() =>
    pruneExperts(model, {
      criterion: criterion as Criterion,
      compensate,
      seed,
      signal,
      ...(keep !== undefined && { keep }),
      ...(ratio !== undefined && { ratio }),
      ...(threshold !== undefined && { threshold }),
      ...(layer !== undefined && { layer }),
      ...(operator && { operator }),
      ...(reference && { reference }),
      ...(images && { data: images.scored }),
    }),
  )
  const accuracy = images && {
    before: await accuracyOf(model, source),
    after: await accuracyOf(pruned, source),
    images: images.test.count,
  }
  const record = { from: resolve(run.directory), seed, layers: receipts, ...(accuracy && { accuracy }) }
  return { model: pruned, record }
}

async function accuracyOf(model: tfl.LayersModel, { run, images, signal }: PruningSource): Promise<number> {
  const { batchSize } = run.config.training
  const { accuracy } = await evaluate(model, (images as PruningImages).test, { batchSize, signal })
  return accuracy
}

/** Writes the run of the pruned network, trains it where that is asked for, and says what was done. */
async function keepPruned(
  source: PruningSource,
  { model, record }: Pruned,
  request: PruneRequest & { readonly out: string },
  backend: BackendChoice,
): Promise<void> {
  const { out, fineTune, force = false, json = false } = request
  const { run: unpruned, dataset, seed, images } = source
  const config = prunedConfig(unpruned, model, {
    dataset,
    seed,
    epochs: fineTune ?? fineTuningEpochs,
    backend,
  })
  const flags = namingFlags(config.model.name)
  asUsage(() => checkOptimizer(config), flags)
  asUsage(() => checkLayers(model, config), flags)
  if (fineTune !== undefined) useComputeSettings(config)
  const data = fineTune === undefined ? undefined : (images?.data ?? (await loadData(dataset, seed)))
  const start = await routersAtStart(unpruned)
  const { run, lock } = await lockedRun(out, config, {
    force,
    initial: model,
    routers: startOfPruned(start ?? new Map(), await modelRouters(model), record.layers),
    pruning: record,
    ...(!data && { trained: model }),
  })
  try {
    const bytes = await bytesOf(unpruned, run)
    await run.recordPruning({ ...record, bytes })
    if (!json) process.stdout.write(`${[...source.notes, recordText({ ...record, bytes })].join('\n')}\n`)
    const accuracy =
      data && (await fineTuned({ run, lock, model, data, notes: [], resume: undefined }, record, json))
    const complete = { ...record, bytes, ...(accuracy && { accuracy }) }
    if (accuracy) await run.recordPruning(complete)
    if (json) process.stdout.write(`${JSON.stringify({ run: out, ...complete })}\n`)
    else if (!data) process.stdout.write(`${savedText(out)}\n`)
  } finally {
    await lock.release()
  }
}

async function bytesOf(unpruned: RunFolder, pruned: RunFolder): Promise<BeforeAndAfter> {
  const [before, after] = await Promise.all([
    savedBytes(join(unpruned.directory, 'model')),
    savedBytes(join(pruned.directory, 'initial')),
  ])
  return { before, after }
}

/** Trains the pruned network; undefined where that was stopped. */
async function fineTuned(
  started: StartedRun,
  { accuracy }: PruningRecord,
  json: boolean,
): Promise<PruningRecord['accuracy']> {
  const { ended, history } = await followRun(started, { json })
  const tuned = history.at(-1)?.testAccuracy
  return ended !== 'aborted' && accuracy && tuned !== undefined
    ? { ...accuracy, fineTuned: tuned }
    : undefined
}

function savedText(out: string): string {
  const resume = shellCommand(['pmoe', 'train', '--resume', '--out', out])
  return `Saved in ${out}. To train it further: ${resume}`
}
