import { random } from '../../src/random.js'

/** CIFAR records of the given labels (one list of label bytes a record) with seeded pixels. */
export function cifarRecords(labels: readonly (readonly number[])[], seed: number): Uint8Array {
  const source = random(seed, 'pixels')
  return Uint8Array.from(
    labels.flatMap(record => [...record, ...Array.from({ length: 3072 }, () => source.below(256))]),
  )
}

/** The six files of CIFAR-10 with `perFile` records each, the classes in turn. */
export function cifar10Files(perFile: number, prefix = ''): Record<string, Uint8Array> {
  const names = [1, 2, 3, 4, 5].map(number => `data_batch_${number}.bin`).concat('test_batch.bin')
  return Object.fromEntries(
    names.map((name, file) => {
      const labels = Array.from({ length: perFile }, (_, i) => [i % 10])
      return [prefix + name, cifarRecords(labels, file)]
    }),
  )
}
