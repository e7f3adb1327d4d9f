import type { RunChild } from '../scripts/run/measuring/child-process.js'
import { describeMachine } from '../scripts/run/measuring/machine.js'
import { type BenchResult, joinSections, type Letter, type SectionResult } from './bench-result.js'
import { type BenchOptions, commandText } from './options.js'
import { peerPython } from './peers.js'
import type { BenchContext } from './section.js'
import { measureAugmentations } from './sections/augmentation.js'
import { measureBackends } from './sections/backends.js'
import { measureComposings } from './sections/composing.js'
import { measureEpochs } from './sections/data-epoch.js'
import { measurePreparing } from './sections/data-memory.js'
import { measureRecordFiles } from './sections/data-records.js'
import { measureDecodings } from './sections/decoding.js'
import { measureFrozen } from './sections/frozen.js'
import { measureLayers } from './sections/layer.js'
import { measurePipelines } from './sections/pipeline.js'
import { measurePredictions } from './sections/prediction.js'
import { measurePrunings } from './sections/pruning.js'
import { measureRoutedSteps } from './sections/routed.js'
import { measureSampleMixtures } from './sections/samples.js'
import { measureTrainings } from './sections/training.js'

/** Sections in the order in which they are measured, with the workloads that each serves. */
const sections: readonly {
  readonly serves: readonly Letter[]
  measure(context: BenchContext): Promise<SectionResult>
}[] = [
  { serves: ['b', 'c', 'g', 'h'], measure: measureTrainings },
  { serves: ['a'], measure: measureLayers },
  { serves: ['d'], measure: measurePredictions },
  { serves: ['e'], measure: measureBackends },
  { serves: ['f'], measure: measurePipelines },
  { serves: ['i'], measure: measureRecordFiles },
  { serves: ['j'], measure: measurePreparing },
  { serves: ['k'], measure: measureEpochs },
  { serves: ['l'], measure: measureDecodings },
  { serves: ['m'], measure: measureComposings },
  { serves: ['n'], measure: measureSampleMixtures },
  { serves: ['p'], measure: measurePrunings },
  { serves: ['q'], measure: measureFrozen },
  { serves: ['r'], measure: measureRoutedSteps },
  { serves: ['t'], measure: measureAugmentations },
]

/**
 * Measures the requested workloads.
 *
 * @throws RangeError before anything is measured when the peers' folder holds no environment
 */
export async function bench(
  options: BenchOptions,
  run: RunChild,
  log: (line: string) => void,
): Promise<BenchResult> {
  const { backend, quick, repeats, peers, only } = options
  const context: BenchContext = {
    backend,
    quick,
    only,
    run,
    log,
    ...(repeats !== undefined && { repeats }),
    ...(peers !== undefined && { peers, python: peerPython(peers) }),
  }
  const machine = describeMachine()
  const results: SectionResult[] = []
  for (const { serves, measure } of sections) {
    if (serves.some(letter => only.has(letter))) results.push(await measure(context))
  }
  const joined = joinSections(results)
  return {
    ...joined,
    command: commandText(options),
    machine,
    tables: joined.tables.toSorted((a, b) => a.letter.localeCompare(b.letter)),
    // Tiny sizes say nothing of the targets.
    measured: quick ? {} : joined.measured,
  }
}
