import { subset } from '../batches.js'
import { type CifarFormat, loadCifar } from '../formats/cifar.js'
import { checkSamples, type DatasetEntry, type FolderFormat, testSeed } from './dataset.js'
import { positionExperts, sgd } from './dataset-recipe.js'
import { hasCifar } from './folder-formats.js'

const superclasses = [
  'aquatic mammals, fish, flowers, food containers, fruit and vegetables, household electrical devices',
  'household furniture, insects, large carnivores, large man-made outdoor things',
  'large natural outdoor scenes, large omnivores and herbivores, medium-sized mammals',
  'non-insect invertebrates, people, reptiles, small mammals, trees, vehicles 1, vehicles 2',
].flatMap(names => names.split(', '))

const classes = [
  'apple, aquarium fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge, bus, butterfly',
  'camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach, couch, crab, crocodile, cup',
  'dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster, house, kangaroo, keyboard, lamp, lawn mower',
  'leopard, lion, lizard, lobster, man, maple tree, motorcycle, mountain, mouse, mushroom, oak tree, orange, orchid',
  'otter, palm tree, pear, pickup truck, pine tree, plain, plate, poppy, porcupine, possum, rabbit, raccoon, ray',
  'road, rocket, rose, sea, seal, shark, shrew, skunk, skyscraper, snail, snake, spider, squirrel, streetcar',
  'sunflower, sweet pepper, table, tank, telephone, television, tiger, tractor, train, trout, tulip, turtle',
  'wardrobe, whale, willow tree, wolf, woman, worm',
].flatMap(names => names.split(', '))

/** CIFAR-100: a coarse and a fine label byte, one file of 50,000 records and one of 10,000. */
export const cifar100Format: CifarFormat = {
  labels: [
    { name: 'coarse label', numClasses: superclasses.length },
    { name: 'fine label', numClasses: classes.length },
  ],
  target: 1,
  classNames: classes,
  folder: 'cifar-100-binary',
  trainFiles: ['train.bin'],
  testFiles: ['test.bin'],
}

const cifar100Binary: FolderFormat = {
  title: 'CIFAR-100, binary version',
  published: 'cifar100',
  isIn: source => hasCifar(source, cifar100Format),
}

/** CIFAR-100 with its fine labels, from the user's copy of its binary version. */
export const cifar100: DatasetEntry = entry({
  name: 'cifar100',
  title: 'CIFAR-100',
  description: 'A hundred classes of small photographs, 32x32 RGB, from a folder with the binary version.',
  format: cifar100Format,
})

/** CIFAR-100 with its coarse labels: the same images in twenty classes. */
export const cifar100Coarse: DatasetEntry = entry({
  name: 'cifar100-coarse',
  title: 'CIFAR-100, coarse',
  description: 'The twenty superclasses of CIFAR-100, from the same files.',
  format: { ...cifar100Format, target: 0, classNames: superclasses },
})

interface Variant extends Pick<DatasetEntry, 'name' | 'title' | 'description'> {
  readonly format: CifarFormat
}

function entry({ name, title, description, format }: Variant): DatasetEntry {
  return {
    name,
    title,
    source: 'folder',
    description,
    licence: 'not stated by its authors; not shipped',
    homepage: 'https://www.cs.toronto.edu/~kriz/cifar.html',
    defaultSamples: 50_000,
    format: cifar100Binary,
    recipe: {
      suggested: 'wide',
      wide: { widenFactor: 2, mixture: positionExperts, training: sgd(20_000, 30, 64, 0.1) },
      twoLayer: { patchSize: 8, patches: 16, patchesPerExpert: 6, training: sgd(20_000, 25, 20, 0.05) },
    },
    async load(source, options) {
      checkSamples(name, options)
      const { samples, testSamples, seed } = options
      const { train, test } = await loadCifar(source, format)
      return {
        name,
        train: samples === undefined ? train : subset(train, samples, seed),
        test: testSamples === undefined ? test : subset(test, testSamples, testSeed),
      }
    },
  }
}
