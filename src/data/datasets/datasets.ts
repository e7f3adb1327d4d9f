import { celebaMulticlass } from './celeba/multiclass.js'
import { celebaSmiling } from './celeba/smiling.js'
import { celebaSpurious } from './celeba/spurious.js'
import { cifarVehicles } from './cifar-vehicles.js'
import { cifar10 } from './cifar10.js'
import { cifar10Noise } from './cifar10-noise.js'
import { cifar100, cifar100Coarse } from './cifar100.js'
import type { DatasetEntry } from './dataset.js'
import { digitsPatches } from './digits-patches.js'
import { fashionMnist } from './fashion-mnist.js'
import { fashionNoise } from './fashion-noise.js'
import { fashionQuadrants } from './fashion-quadrants.js'
import { imageFolder } from './image-folder/image-folder.js'
import { megapixelDigits, megapixelFashion } from './megapixel/megapixel.js'
import { mnistPatches } from './mnist-patches.js'
import { cifar10Rotated, fashionRotated } from './rotated.js'
import { tfds } from './tfds.js'
import { theoryClusters } from './theory-clusters.js'
import { theoryPatches } from './theory-patches.js'

export type { DataSource } from '../data-source.js'
export type { Dataset, DatasetEntry, DatasetOptions, ImageDataset, RegionDataset } from './dataset.js'

/**
 * Every named dataset. A new one is one file and one line here.
 *
 * Datasets of unchanged images come before those composed of them: where a folder fits several datasets, the first is
 * taken.
 */
export const datasets: readonly DatasetEntry[] = [
  digitsPatches,
  fashionMnist,
  fashionQuadrants,
  fashionNoise,
  fashionRotated,
  cifar10,
  cifarVehicles,
  cifar10Noise,
  cifar10Rotated,
  cifar100,
  cifar100Coarse,
  mnistPatches,
  imageFolder,
  celebaSmiling,
  celebaSpurious,
  celebaMulticlass,
  tfds,
  megapixelDigits,
  megapixelFashion,
  theoryPatches,
  theoryClusters,
]

/**
 * The dataset of a name.
 *
 * @param table the datasets among which it is
 * @throws RangeError listing the known names when there is none
 */
export function datasetEntry(name: string, table: readonly DatasetEntry[] = datasets): DatasetEntry {
  const entry = table.find(candidate => candidate.name === name)
  if (entry) return entry
  const names = table.map(candidate => candidate.name).join(', ')
  throw new RangeError(`datasetEntry: name must be one of ${names}, got ${name}`)
}
