import { describe, expect, it } from 'vitest'
import { withHomeFolder } from '../../scripts/terminal/home-folder.js'

describe('withHomeFolder', () => {
  it.each([
    ['~', '/home/ada'],
    ['~/photos', '/home/ada/photos'],
    ['--data=~', '--data=/home/ada'],
    ['--data=~/', '--data=/home/ada/'],
    ['--out=~/a b/~/c', '--out=/home/ada/a b/~/c'],
    ['--from=~/cifar-10-binary.tar.gz', '--from=/home/ada/cifar-10-binary.tar.gz'],
  ])('%s is %s', (word, path) => {
    expect(withHomeFolder(['train', word], '/home/ada')).toEqual(['train', path])
  })

  it.each([
    '~bob',
    '~bob/x',
    '--data=~bob/x',
    './~/x',
    '--data=./~',
    'a~/x',
    '~~',
    '--freeze=a,~/b',
    '-',
    '--',
  ])('leaves %s as it is', word => {
    expect(withHomeFolder([word], '/home/ada')).toEqual([word])
  })

  it('takes the name of the folder as it is, and does nothing without one', () => {
    expect(withHomeFolder(['--data=~/x'], '/home/$&$1')).toEqual(['--data=/home/$&$1/x'])
    expect(withHomeFolder(['--data=~/x'], '')).toEqual(['--data=~/x'])
  })
})
