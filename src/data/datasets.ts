import { cifarVehicles } from './cifar-vehicles.js'
import { cifar10 } from './cifar10.js'
import type { DatasetEntry } from './dataset.js'
import { digitsPatches } from './digits-patches.js'
import { fashionQuadrants } from './fashion-quadrants.js'

export type { DataSource } from './data-source.js'
export type { Dataset, DatasetEntry, DatasetOptions } from './dataset.js'

/** Every named dataset. A new one is one file and one line here. */
export const datasets: readonly DatasetEntry[] = [digitsPatches, fashionQuadrants, cifar10, cifarVehicles]

/**
 * The dataset of a name.
 *
 * @throws RangeError listing the known names when there is none
 */
export function datasetEntry(name: string): DatasetEntry {
  const entry = datasets.find(candidate => candidate.name === name)
  if (entry) return entry
  const known = datasets.map(candidate => candidate.name).join(', ')
  throw new RangeError(`datasetEntry: name must be one of ${known}, got ${name}`)
}
