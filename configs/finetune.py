"""Fine-tuning of a pre-trained encoder, as VideoMAE does it (2203.12602).

  python -m rvmae_jax.train --workdir runs/finetune \\
    --config configs/finetune.py:pretraining=videomae,dataset=ssv2,videos=DIR \\
    --config.checkpoint.init_from=runs/videomae

init_from takes a run, a checkpoint, or a weights file (released RVM; VideoMAE,
ViTMAE or TimeSformer from Hugging Face); the log says which parameters were
taken. Without it, training starts from scratch: see configs/from_scratch.py.

Arguments: pretraining=the recipe that the encoder was trained with, such as
rvm_pretrain, videomae, moco_v3; variant=tiny|S|B|L|H, by default that of the
recipe; dataset=kinetics, ssv2, ucf101 or hmdb51 sets sampling, length and views
as in the paper, diving48 takes those of ssv2; num_classes=of other datasets;
videos=a folder of videos (class = folder), or empty for the built-in moving
sprites; published: the folder holds the dataset in its published layout,
split 1 (see rvmae_jax/data/sources; tested on `test` where there is no `val`);
shards=a folder written by tools/prepare, instead of videos; runlocal shrinks
everything to a minute on a laptop.
Epochs are passes over the videos, as VideoMAE counts them. A pass draws two
clips of each video: the 75 epochs of Kinetics draw 150.
Cost: 180 GMAC a clip forward (ViT-B of VideoMAE).
Expect (VideoMAE's paper, ViT-B after 800 epochs of pre-training): K400 80.0,
SSv2 69.6; UCF101 91.3.
"""

from rvmae_jax.config_utils import find_recipe, load_recipe, parse_arg
from rvmae_jax.configs import videomae
from rvmae_jax.models.classifier import classifier_config
from rvmae_jax.registry import check_known

# Clips of 16 frames: a stride of 0 spreads them over the video. Left and right
# are part of the classes of SSv2. Views are clips x crops at the end, out of
# frames 224 high and `view_width` wide: those of UCF101 are 4:3.
DATASETS = {
  'kinetics': {
    'num_classes': 400,
    'stride': 4,
    'flip': True,
    'epochs': 75,
    'num_clips': 5,
    'view_width': 400,
  },
  'ssv2': {
    'num_classes': 174,
    'stride': 0,
    'flip': False,
    'epochs': 30,
    'num_clips': 2,
    'view_width': 400,
  },
  'ucf101': {
    'num_classes': 101,
    'stride': 4,
    'flip': True,
    'epochs': 100,
    'num_clips': 5,
    'view_width': 304,
  },
  'hmdb51': {
    'num_classes': 51,
    'stride': 2,
    'flip': True,
    'epochs': 50,
    'num_clips': 5,
    'view_width': 400,
  },
  'diving48': {
    'num_classes': 48,
    'stride': 0,
    'flip': True,
    'epochs': 30,
    'num_clips': 2,
    'view_width': 400,
  },
}
NUM_FRAMES = 16
WARMUP_EPOCHS = 5
# Clips drawn from a video whenever its turn comes (repeated augmentation).
REPEATS = 2


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg,
    pretraining='videomae',
    variant='',
    dataset='kinetics',
    num_classes=0,
    videos='',
    published=False,
    shards='',
    runlocal=False,
  )
  check_known('dataset', DATASETS, arg.dataset)
  dataset = DATASETS[arg.dataset]
  config = videomae.get_config(arg)
  config.batch_size = 512
  # An epoch is a pass over the videos; a batch of 512 clips takes 256 of them.
  num_videos = videomae.DATASETS[arg.dataset]['clips']
  steps_per_epoch = num_videos * REPEATS / config.batch_size
  config.total_steps = round(dataset['epochs'] * steps_per_epoch)
  config.schedule = {
    'name': 'cosine',
    'warmup_steps': round(WARMUP_EPOCHS * steps_per_epoch),
    'end_factor': 1e-3,
  }

  config.objective = {
    'name': 'supervised',
    'label_smoothing': 0.1,
    'mixing': {'mixup': 0.8, 'cutmix': 1.0},
  }
  config.losses = {'cross_entropy': 1.0}
  config.data.clip = {
    'name': 'uniform',
    'num_frames': NUM_FRAMES,
    'stride': dataset['stride'],
  }
  config.data.crop = {
    'size': (224, 224),
    'area': (0.08, 1.0),
    'ratio': (0.75, 1.3333),
    'flip': dataset['flip'],
  }
  # RandAugment m7-n4-mstd0.5, erasing of one clip in four, two clips a video.
  config.data.augment = {'rand_augment': {}, 'erase': {}}
  config.data.repeats = REPEATS
  config.data.mask = {}
  config.optimizer.update(
    {'lr_per_256': 5e-4, 'b2': 0.999, 'layer_decay': 0.75}
  )

  model = get_model(arg, arg.num_classes or dataset['num_classes'])
  width = dataset['view_width']
  val = {
    'sources': {'videos': videomae.get_source(arg, 'val')},
    'clip': 'run',
    'crop': 'run',
  }
  num_clips = dataset['num_clips']
  config.evals = {
    'accuracy': {
      'name': 'accuracy',
      'every_steps': 1_000,
      'num_batches': 0,
      'data': val,
    },
    # Once, at the end. At a stride, clips start evenly from the first possible
    # frame to the last; of wide videos the crops are left, middle and right.
    'accuracy_views': {
      'name': 'accuracy',
      'every_steps': config.total_steps,
      'num_batches': 0,
      'num_clips': num_clips,
      'num_crops': 3,
      'data': {
        **val,
        'clip': {**config.data.clip, 'num_clips': num_clips},
        'crop': {'size': (224, width - width % model['patch_size'])},
      },
    },
  }
  if arg.runlocal:
    videomae.run_locally(config)
    config.evals.accuracy_views.data.crop.size = (32, 56)
  config.model = model
  return config


def get_model(arg, num_classes):
  """A classifier on the encoder of a pre-training recipe."""
  pretraining = load_recipe(find_recipe(f'{arg.pretraining}.py'))
  variant = f'variant={arg.variant}' if arg.variant else ''
  recipe = pretraining.get_config(f'{variant},runlocal={arg.runlocal}')
  return classifier_config(
    recipe.model.to_dict(),
    num_classes=num_classes,
    pool='mean',
    norm=True,
    drop_path=0.1,
  )
