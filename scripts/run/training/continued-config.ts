import { resolve } from 'node:path'
import { configDifferences, mayChange, type RunConfig, runConfig } from '../../../src/run/run-config.js'
import type { RunFolder } from '../../../src/run/run-folder.js'
import { dataPath } from '../../terminal/data-path.js'
import { UsageError } from '../../terminal/usage-error.js'
import { withFlags } from '../train-settings.js'
import type { TrainingRequest } from './prepared-training.js'

/**
 * A run is resumed with its own settings: flags may repeat them, ask for more epochs and say where its files are now,
 * but change nothing else. Where a flag is `auto`, what was chosen at the start stays.
 *
 * @throws UsageError naming what differs, or a flag that the model does not have
 */
export function continuedConfig(
  run: Pick<RunFolder, 'directory' | 'config'>,
  request: TrainingRequest,
): RunConfig {
  const config = requestedConfig(run.config, request)
  const differences = [...changedChoices(run.config, request), ...configDifferences(run.config, config)]
  const refused = differences.filter(difference => !mayChange(difference))
  if (refused.length > 0) {
    const list = refused.map(
      ({ key, was, asked }) => `${key} is ${valueText(was)}, asked for ${valueText(asked)}`,
    )
    throw new UsageError(
      `train: --resume must keep the settings of ${run.directory}, got changed ones: ${list.join('; ')}`,
    )
  }
  return differences.length === 0 ? run.config : config
}

/** The model and the initial network that the flags ask for, where they differ from those of the run. */
function changedChoices({ model: { name, options } }: RunConfig, { model, init }: TrainingRequest) {
  const from = options.kind === 'init' ? options.from : undefined
  const choices = [
    { key: 'model.name', was: name, asked: model ?? name },
    { key: 'model.options.from', was: from, asked: init === undefined ? from : resolve(init) },
  ]
  return choices.filter(({ was, asked }) => was !== asked)
}

/** The configuration of a run, changed by the flags that are given. */
function requestedConfig(
  config: RunConfig,
  { batchSize, inputScaling, ...request }: TrainingRequest,
): RunConfig {
  const { dataset, data, backend } = request
  const flags = {
    ...request,
    ...(batchSize !== 'auto' && batchSize !== undefined && { batchSize }),
    ...(inputScaling !== undefined && { inputScaling: chosenBefore(config, inputScaling) }),
  }
  const withChoices = {
    ...config,
    dataset: {
      ...config.dataset,
      ...(dataset !== undefined && { name: dataset }),
      ...(data !== undefined && { data: dataPath(data) }),
    },
    ...(backend !== undefined && backend !== 'auto' && { backend }),
  }
  return runConfig(withFlags(withChoices, config.model.name, flags), 'train')
}

/** The scaling that `auto` stands for in a run that has one; other models refuse the flag as they do at the start. */
function chosenBefore(
  { model: { options } }: RunConfig,
  asked: NonNullable<TrainingRequest['inputScaling']>,
): TrainingRequest['inputScaling'] {
  return asked === 'auto' && options.kind === 'init' ? options.inputScaling : asked
}

function valueText(value: unknown): string {
  return value === undefined ? 'not set' : JSON.stringify(value)
}
