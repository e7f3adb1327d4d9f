import { describe, expect, it } from 'vitest'
import { labelledFolder } from '../../../../src/data/datasets/image-folder/labelled-folder.js'
import { memorySource } from '../../memory-source.js'

/** Files by their paths; what they hold is not read. */
const files = (...paths: string[]) =>
  memorySource(Object.fromEntries(paths.map((path, i) => [path, Uint8Array.of(i)])))

const classNames = ['cat', 'dog', 'emu']

describe('labelledFolder', () => {
  it('matches folders to classes by name, whatever their order and case', async () => {
    const source = files('Emu/1.png', 'cat/2.jpg', 'cat/deep/3.jpg', 'dog/4.webp')
    const { images, notes } = await labelledFolder(source, classNames)
    expect([...images.labels]).toEqual([0, 0, 1, 2])
    expect([0, 1, 2, 3].map(i => images.path?.(i))).toEqual([
      'cat/2.jpg',
      'cat/deep/3.jpg',
      'dog/4.webp',
      'Emu/1.png',
    ])
    expect(images.name(3)).toBe('mem:Emu/1.png')
    expect([...(await images.encoded(3))]).toEqual([0])
    expect(notes).toEqual(['Names of classes that differ in case only: Emu as emu.'])
  })

  it('prefers the exact name, and how letters are composed does not matter', async () => {
    const source = files('CAT/1.png', 'cat/2.png', 'Cafe\u0301/3.png')
    const { images, notes } = await labelledFolder(source, ['cat', 'Caf\u00e9'])
    expect([...images.labels]).toEqual([0, 1])
    expect(images.path?.(0)).toBe('cat/2.png')
    expect(notes).toEqual(['Left out, as no class has this name: CAT/.'])
  })

  it('leaves other folders and loose images out, and names classes without images', async () => {
    const source = files('cat/1.png', 'emu/notes.txt', 'yak/2.png', 'gnu/3.png', 'loose.png')
    const { images, notes } = await labelledFolder(source, classNames)
    expect([...images.labels]).toEqual([0])
    expect(notes).toEqual([
      'Left out: 1 image beside the folders of the classes.',
      'Left out, as no class has this name: gnu/, yak/.',
      'There are no images of dog, emu.',
    ])
  })

  it.each([
    [
      ['train/cat/1.png', 'test/cat/2.png', 'val/cat/4.png'],
      'test',
      'test/cat/2.png',
      'test/, the test half',
    ],
    [['train/cat/1.png', 'val/cat/4.png'], 'validation', 'val/cat/4.png', 'val/, the validation half'],
    [['train/cat/1.png'], 'train', 'train/cat/1.png', 'train/, the training half'],
  ])('takes of halves %j that for the %s', async (paths, name, first, text) => {
    const { images, notes, half } = await labelledFolder(files(...paths), classNames)
    expect(images.path?.(0)).toBe(first)
    expect(half).toBe(name)
    expect(notes[0]).toBe(`The images are those of ${text}.`)
  })

  it('takes a folder named as a half for a class where there is such a class', async () => {
    const { images } = await labelledFolder(files('test/1.png', 'train/2.png'), ['train', 'test'])
    expect([...images.labels]).toEqual([0, 1])
  })

  it('looks through a folder that holds nothing but one folder', async () => {
    const { images, notes } = await labelledFolder(files('all/cat/1.png', 'all/dog/2.png'), classNames)
    expect(images.count).toBe(2)
    expect(notes[0]).toBe('The images are those of all/, the only folder there.')
  })

  it.each([
    [
      ['1.png', '2.png'],
      'mem:: folder must hold a folder for each class, got 2 images without labels (pmoe predict classifies images without labels)',
    ],
    [
      ['notes.txt'],
      'mem:: folder must hold a folder for each class, got no folders (pmoe predict classifies images without labels)',
    ],
    [['yak/1.png', 'gnu/2.png'], 'mem:: folders must have the names of classes, cat, dog, emu, got gnu, yak'],
    [['cat/notes.txt', 'yak/1.png'], 'mem:: folders of classes must hold images, got none in cat'],
  ])('refuses %j', async (paths, message) => {
    await expect(labelledFolder(files(...paths), classNames)).rejects.toThrow(new Error(message))
  })

  it('matches thousands of classes', async () => {
    const names = Array.from({ length: 4000 }, (_, i) => `class ${i}`)
    const { images } = await labelledFolder(files(...names.map(name => `${name.toUpperCase()}/1.png`)), names)
    expect(images.count).toBe(4000)
  })
})
