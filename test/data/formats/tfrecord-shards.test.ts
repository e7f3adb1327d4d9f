import { expect, test } from 'vitest'
import { recordShards, shardFile } from '../../../src/data/formats/tfrecord-shards.js'
import { memorySource } from '../memory-source.js'

const source = (...names: string[]) =>
  memorySource(Object.fromEntries(names.map(name => [name, new Uint8Array()])))

test('shards are named as TensorFlow names them', () => {
  expect(shardFile('train', 3, 10, '.tfrecord')).toBe('train-00003-of-00010.tfrecord')
})

test('shards come by their numbers, with the number before or behind the ending', async () => {
  const files = source(
    'd/b-00001-of-00002.tfrecord',
    'd/b-00000-of-00002.tfrecord',
    'd/cifar10-train.tfrecord-00000-of-00001',
    'd/alone.tfrecord',
    'd/.b-00000-of-00002.tfrecord.17-0.tmp',
    'd/notes.txt',
  )
  expect(await recordShards(files, 'd/')).toEqual([
    { stem: 'alone.tfrecord', paths: ['d/alone.tfrecord'] },
    { stem: 'b.tfrecord', paths: ['d/b-00000-of-00002.tfrecord', 'd/b-00001-of-00002.tfrecord'] },
    { stem: 'cifar10-train.tfrecord', paths: ['d/cifar10-train.tfrecord-00000-of-00001'] },
  ])
  expect(await recordShards(source('notes.txt'))).toEqual([])
})

test.each([
  [
    ['t.tfrecord-00000-of-00004', 't.tfrecord-00002-of-00004'],
    'mem:: t.tfrecord must have all of its 4 shards, got 2 (missing 00001-of-00004, 00003-of-00004)',
  ],
  [
    ['t.tfrecord-00001-of-00900'],
    'got 1 (missing 00000-of-00900, 00002-of-00900, 00003-of-00900, 00004-of-00900, 00005-of-00900 and 894 more)',
  ],
  [
    ['t.tfrecord-00000-of-00001', 't.tfrecord-00001-of-00002'],
    'mem:: t.tfrecord must be of one number of shards, got shards of 1 and of 2',
  ],
  [
    ['t.tfrecord-00000-of-00001', 't.tfrecord-00001-of-00001'],
    'mem:: t.tfrecord must number its 1 shards from 0, got a shard 1',
  ],
])('refuses %j', async (names, message) => {
  await expect(recordShards(source(...names))).rejects.toThrow(message)
})
