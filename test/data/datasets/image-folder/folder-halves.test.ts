import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findClasses, sameClasses } from '../../../../src/data/datasets/image-folder/folder-classes.js'
import { findLayout, halfOf, halvesByName } from '../../../../src/data/datasets/image-folder/folder-halves.js'
import { memorySource } from '../../memory-source.js'

const one = Uint8Array.of(1)

/** A source with an image in each of these folders, and with files of these paths. */
const folders = (...paths: string[]) =>
  memorySource(Object.fromEntries(paths.map(path => [path.endsWith('/') ? `${path}i.png` : path, one])))

const layout = (...paths: string[]) => findLayout(folders(...paths))

const twoClasses = (half: string) => [`${half}/cat/`, `${half}/dog/`]

describe('names of halves', () => {
  it.each([
    ['train', 'train'],
    ['Training', 'train'],
    ['VAL', 'validation'],
    ['Valid', 'validation'],
    ['validation', 'validation'],
    ['dev', 'validation'],
    ['TEST', 'test'],
    ['testing', 'test'],
    ['Eval', 'test'],
    ['trainer', undefined],
    ['tests.old', undefined],
    ['cat', undefined],
  ])('%s stands for %s', (name, half) => {
    expect(halfOf(name)).toBe(half)
  })

  it('takes eval for validation only where another folder is for testing and none for validation', () => {
    expect(halvesByName(['eval', 'train'], 'd')).toEqual({ train: 'train', test: 'eval' })
    expect(halvesByName(['eval', 'test', 'train'], 'd')).toEqual({
      train: 'train',
      validation: 'eval',
      test: 'test',
    })
    expect(halvesByName(['dev', 'eval', 'train'], 'd')).toEqual({
      train: 'train',
      validation: 'dev',
      test: 'eval',
    })
  })

  it.each([
    [['train', 'val', 'valid'], 'd: one folder must hold the validation images, got val/ and valid/'],
    [['Train', 'train'], 'd: one folder must hold the training images, got Train/ and train/'],
    [['dev', 'eval', 'test'], 'd: one folder must hold the test images, got eval/ and test/'],
  ])('refuses two for one half: %j', (names, message) => {
    expect(() => halvesByName(names, 'd')).toThrow(message)
  })
})

describe('findLayout', () => {
  it('finds the halves in any case, and says which', async () => {
    expect(await layout(...twoClasses('Train'), ...twoClasses('Test'))).toEqual({
      halves: { train: 'Train', test: 'Test' },
      notes: ['Train/ looks like the training half, Test/ like the test half (for the reported numbers).'],
    })
    expect(await layout(...['training', 'dev', 'testing'].flatMap(twoClasses))).toEqual({
      halves: { train: 'training', validation: 'dev', test: 'testing' },
      notes: [
        'training/ looks like the training half, dev/ like the validation half (for early stopping and choosing), ' +
          'testing/ like the test half (for the reported numbers).',
      ],
    })
  })

  it('reports on a validation half that is the only one besides training', async () => {
    const { halves } = await layout(...twoClasses('train'), ...twoClasses('valid'))
    expect(halves).toEqual({ train: 'train', test: 'valid' })
  })

  it('says what it leaves out beside the halves', async () => {
    const { halves, notes } = await layout(
      ...twoClasses('train'),
      'extra/',
      'test/1.jpg',
      'test/2.jpg',
      'train/loose.png',
    )
    expect(halves).toEqual({ train: 'train' })
    expect(notes.slice(1)).toEqual([
      'Left out: extra/, test/ (2 images without folders of classes).',
      'Left out: 1 image in train/ beside the folders of the classes.',
    ])
  })

  it('looks through folders that hold nothing but a folder', async () => {
    expect(await layout('data/images/train/cat/', 'data/images/train/dog/', 'readme.txt')).toMatchObject({
      halves: { train: 'data/images/train' },
      notes: ['The images are those of data/images/, the only folder there.', expect.anything()],
    })
    expect((await layout('photos/cat/', 'photos/dog/')).halves).toEqual({ train: 'photos' })
    expect((await layout('cat/', 'dog/')).halves).toEqual({ train: '' })
    // One class alone is not looked through.
    expect((await layout('cats/')).halves).toEqual({ train: '' })
  })

  it('takes a folder named like a half for a class beside classes', async () => {
    const { halves, notes } = await layout('cat/', 'dog/', 'test/')
    expect(halves).toEqual({ train: '' })
    expect(notes).toEqual(['Read as classes like the others, not as halves: test/.'])
    expect((await layout('bus/', 'car/', 'train/')).halves).toEqual({ train: '' })
  })

  it.each<[string, string[], string]>([
    [
      'halves that hold images and no classes',
      ['test/', 'train/'],
      'mem:: folder must hold train/ with a folder for each of 2 or more classes in it, or the folders of the classes, ' +
        'got test/, train/ (names of halves, not of classes)',
    ],
    [
      'halves without one for training',
      [...twoClasses('val'), ...twoClasses('test')],
      'mem:: folder must hold train/ with a folder for each of 2 or more classes in it, or the folders of the classes, ' +
        'got test/, val/ (names of halves, not of classes)',
    ],
    [
      'a test half beside the training classes themselves',
      ['cat/', 'dog/', ...twoClasses('test')],
      'mem:: test/ must have a train/ beside it for the training images, got cat/, dog/ beside it and in it ' +
        '(move the classes into train/, or rename test/ to .test)',
    ],
    [
      'an empty half',
      [...twoClasses('train'), 'val/.keep'],
      'mem:val: half must hold a folder for each class, got an empty folder (remove it to go without)',
    ],
    [
      'two halves of the same kind',
      [...twoClasses('train'), ...twoClasses('val'), ...twoClasses('validation')],
      'mem:: one folder must hold the validation images, got val/ and validation/ ' +
        '(join them, or rename the one that is not to be used to .name)',
    ],
  ])('refuses %s', async (_, paths, message) => {
    await expect(layout(...paths)).rejects.toThrow(new Error(message))
  })

  it('never takes a folder for a class once there is a training half', async () => {
    const names = fc.constantFrom('val', 'Valid', 'test', 'eval', 'dev', 'extra', 'notes')
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(names, { maxLength: 3 }), async others => {
        const paths = [...twoClasses('TRAIN'), ...others.flatMap(twoClasses)]
        const sure = others.filter(name => name !== 'eval').map(halfOf)
        // `eval` is for testing, unless another folder is and none is for validation.
        const ofEval = sure.includes('test') && !sure.includes('validation') ? 'validation' : 'test'
        const roles = others.includes('eval') ? [...sure, ofEval] : sure
        const twice = ['validation', 'test'].some(half => roles.filter(role => role === half).length > 1)
        if (twice) {
          await expect(layout(...paths)).rejects.toThrow(/one folder must hold the (validation|test) images/)
          return
        }
        const { halves, notes } = await layout(...paths)
        expect(halves.train).toBe('TRAIN')
        // Every folder is a half, or left out by name.
        for (const name of others) expect(notes.join(' ')).toContain(`${name}/`)
        const used = Object.values(halves)
        for (const name of others) expect(used.includes(name)).toBe(halfOf(name) !== undefined)
      }),
    )
  })
})

describe('classes', () => {
  const composed = 'caf\u00e9'
  const decomposed = 'cafe\u0301'

  it('have the same names on every disk', async () => {
    const source = folders(`train/${decomposed}/`, 'train/tea/', `test/${composed}/`, 'test/tea/')
    const classes = await findClasses(source, 'train')
    expect(classes.names).toEqual([composed, 'tea'])
    expect(classes.folders).toEqual([decomposed, 'tea'])
    const notes: string[] = []
    expect(await sameClasses(source, 'test', classes, notes)).toEqual([composed, 'tea'])
    expect(notes).toEqual([])
  })

  it('may differ in case between halves, and that is said', async () => {
    const source = folders('train/Cat/', 'train/dog/', 'test/cat/', 'test/Dog/')
    const notes: string[] = []
    expect(await sameClasses(source, 'test', await findClasses(source, 'train'), notes)).toEqual([
      'cat',
      'Dog',
    ])
    expect(notes).toEqual(['Names of classes that differ in case only: test/cat as Cat, test/Dog as dog.'])
  })

  it('are letters of both cases where all halves have both', async () => {
    const source = folders('train/A/', 'train/a/', 'test/A/', 'test/a/')
    const classes = await findClasses(source, 'train')
    expect(classes.notes).toEqual(['Read as different classes, though only the case differs: A and a.'])
    expect(await sameClasses(source, 'test', classes, [])).toEqual(['A', 'a'])
  })

  it.each<[string, string[], string]>([
    [
      'that look the same',
      [`${composed}/`, `${decomposed}/`],
      'mem:: classes must have different names, got "caf\u00e9" twice: its letters are composed in one folder and ' +
        'decomposed in the other (join the two folders)',
    ],
    [
      'that are halves',
      ['test/', 'train/'],
      'mem:: folders must be classes, got test/, train/ (names of halves, not of classes)',
    ],
    [
      'that hold halves',
      ['cat/test/', 'cat/train/', 'dog/train/'],
      'mem:cat: class must not hold halves, got test/, train/ ' +
        '(name the folder that holds the halves, with the classes in them: train/cat)',
    ],
  ])('are refused %s', async (_, paths, message) => {
    await expect(findClasses(folders(...paths), '')).rejects.toThrow(new Error(message))
  })
})
