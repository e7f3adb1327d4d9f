import { experimentNamed } from '../../experiments/experiments.js'
import type { ExperimentOf, KindName } from '../grids/grids.js'
import type { StudyConfig } from '../study-config.js'
import { boundStudies } from './bound.js'
import { clustersStudies } from './clusters.js'
import { costStudies } from './cost.js'
import { localiseStudies } from './localise.js'
import { megapixelStudies } from './megapixel.js'
import { pruningStudies } from './pruning.js'
import type { StudyKind } from './study-kind.js'
import { trainingStudies } from './training.js'
import { transferStudies } from './transfer.js'

/** How every kind of experiment is run and reported. A new kind is one file and one line here, and the same in `../grids`. */
const kinds: { readonly [Name in KindName]: StudyKind<Name> } = {
  training: trainingStudies,
  cost: costStudies,
  clusters: clustersStudies,
  pruning: pruningStudies,
  bound: boundStudies,
  megapixel: megapixelStudies,
  localise: localiseStudies,
  transfer: transferStudies,
}

/** The kind of a study and its experiment. */
export interface KindOfStudy<Name extends KindName> {
  readonly kind: StudyKind<Name>
  readonly experiment: ExperimentOf<Name>
}

/**
 * How a study is run and reported.
 *
 * @throws RangeError for an experiment that is not known, or a grid of another kind than its experiment's
 */
export function studyKind({ experiment: name, grid }: StudyConfig): KindOfStudy<KindName> {
  const experiment = experimentNamed(name)
  if (grid.kind !== experiment.kind) {
    throw new RangeError(`study: grid of ${name} must be of kind ${experiment.kind}, got ${grid.kind}`)
  }
  // An entry takes grids and experiments of its own kind, which were checked to be of one kind.
  return { kind: kinds[experiment.kind] as unknown as StudyKind<KindName>, experiment }
}
