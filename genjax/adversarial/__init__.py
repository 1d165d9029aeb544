"""Adversarial models: a generator against a discriminator."""

from genjax.adversarial.adain_synthesis import AdaINSynthesis  # StyleGAN's synthesis of 2019
from genjax.adversarial.adain_synthesis import adain  # a style's mean and standard deviation for each map
from genjax.adversarial.adaptive_augmentation import AdaptiveAugmentation  # what a discriminator sees through, how p moves
from genjax.adversarial.adaptive_augmentation import Overfitting  # p, and what it goes by
from genjax.adversarial.adaptive_augmentation import augmentation  # steps bound into one function
from genjax.adversarial.adversarial_training import ConvClassifier  # pictures to logits
from genjax.adversarial.adversarial_training import adversarial_training  # a classifier trained under attack
from genjax.adversarial.adversarial_training import label_loss  # -log p(label)
from genjax.adversarial.adversarial_training import unchanged  # the attack that leaves examples as they are
from genjax.adversarial.attacks import Ball  # a norm, as an attack needs it
from genjax.adversarial.attacks import fgsm  # one step along the sign of the gradient
from genjax.adversarial.attacks import l_2  # the Euclidean ball
from genjax.adversarial.attacks import l_inf  # the ball of the largest entry
from genjax.adversarial.attacks import pgd  # projected gradient steps from a random start
from genjax.adversarial.attgan import AttGANDecoder  # a code and attributes to pictures
from genjax.adversarial.attgan import AttGANDiscriminator  # pictures to a score and to logits of attributes
from genjax.adversarial.attgan import AttGANEncoder  # pictures to a code
from genjax.adversarial.attgan import AttGANWeights  # of its terms
from genjax.adversarial.attgan import Encoding  # a code, and the map beside it
from genjax.adversarial.attgan import attgan  # attributes edited, all else kept
from genjax.adversarial.attgan import attribute_loss  # cross-entropies of attributes, summed
from genjax.adversarial.began import BEGANAutoencoder  # pictures through a code
from genjax.adversarial.began import BEGANDecoder  # codes to pictures
from genjax.adversarial.began import BEGANPerceptron  # points through a code
from genjax.adversarial.began import began  # an autoencoder for a discriminator, in balance
from genjax.adversarial.began import convergence_measure  # M
from genjax.adversarial.began import next_balance  # k_{t+1}
from genjax.adversarial.began import reconstruction_error  # L(x)
from genjax.adversarial.biggan import BigGANGenerator  # a class and a chunk of z in every block
from genjax.adversarial.biggan import biggan  # the two bound into a GAN, with truncation
from genjax.adversarial.biggan import split_latent  # z in equal chunks
from genjax.adversarial.biggan import standing_statistics  # of the generator, at a truncation
from genjax.adversarial.biggan import truncated_normal  # cut off at +-t
from genjax.adversarial.cegan import Balance  # counts of classes, and how the classifier enters
from genjax.adversarial.cegan import ambiguity_loss  # -log(1 - p(y*))
from genjax.adversarial.cegan import balanced_weights  # N / (K n_y)
from genjax.adversarial.cegan import cegan  # a generator, a discriminator and a classifier, for classes out of balance
from genjax.adversarial.cegan import filling_distribution  # of classes that are to be filled up
from genjax.adversarial.cegan import filling_ratio  # how many examples fill them up
from genjax.adversarial.cgan import CGANDiscriminator  # maxout layers on x and its class
from genjax.adversarial.cgan import CGANGenerator  # hidden layers on z and a class
from genjax.adversarial.cgan import Widths  # units on the input, on the class, on both
from genjax.adversarial.cgan import cgan  # both players are told the class
from genjax.adversarial.cgan import label_of  # the classes of a batch
from genjax.adversarial.cnts import SeriesDetector  # a series to logits of anomaly
from genjax.adversarial.cnts import SeriesReconstructor  # a series to itself through a bottleneck
from genjax.adversarial.cnts import cnts  # a detector and a reconstructor that cooperate
from genjax.adversarial.cnts import detector_loss  # cross-entropy with doubts
from genjax.adversarial.cnts import doubt  # 1/2 where the error is at the level
from genjax.adversarial.cnts import kept_error  # over the steps that are kept
from genjax.adversarial.cnts import kept_steps  # those of the lowest scores
from genjax.adversarial.conditional_norm import LabelBatchNorm  # a gain and a bias for every class
from genjax.adversarial.conditional_norm import VectorBatchNorm  # gain and bias linear in a vector
from genjax.adversarial.conditional_norm import modulate  # gain * x + bias, each example's own
from genjax.adversarial.cyclegan import Pool  # past fakes, a pool for each slot of a batch
from genjax.adversarial.cyclegan import cyclegan  # two domains without pairs: there and back is the identity
from genjax.adversarial.cyclegan import show_from_pool  # a fake, or a past one that it replaces
from genjax.adversarial.dcgan import DCGANDiscriminator  # strided convolutions to a score
from genjax.adversarial.dcgan import DCGANGenerator  # transposed convolutions to a picture
from genjax.adversarial.dcgan import dcgan  # the two bound into a GAN
from genjax.adversarial.dm_gan import DMGenerator  # noise and words to two pictures
from genjax.adversarial.dm_gan import Drawing  # the small picture, the refined one, the augmented condition
from genjax.adversarial.dm_gan import MemoryRefinement  # a feature map that reads a memory of words
from genjax.adversarial.dm_gan import PairDiscriminator  # scores of pictures alone and with their texts
from genjax.adversarial.dm_gan import PairScores  # alone and matched, [B] each
from genjax.adversarial.dm_gan import dm_gan  # a picture from text, refined by a memory (DM-GAN)
from genjax.adversarial.dm_gan import read_memory  # softmax attention over masked slots
from genjax.adversarial.dynamics import Players  # where both players stand, or their path
from genjax.adversarial.dynamics import alternating  # x moves, then y
from genjax.adversarial.dynamics import averaged  # the running mean of a path
from genjax.adversarial.dynamics import bilinear  # V(x, y) = <x, y>
from genjax.adversarial.dynamics import extragradient  # gradients of the point ahead
from genjax.adversarial.dynamics import play_game  # the path of a game
from genjax.adversarial.dynamics import simultaneous  # both move at once
from genjax.adversarial.equalized import EqualizedConv  # a convolution, scaled at every use
from genjax.adversarial.equalized import EqualizedDense  # a dense layer likewise
from genjax.adversarial.equalized import minibatch_stddev  # how much a group varies, as a channel
from genjax.adversarial.equalized import pixel_norm  # each pixel's vector over its root mean square
from genjax.adversarial.fir import blur  # a filter that keeps the size
from genjax.adversarial.fir import downsample  # blurred, half the side
from genjax.adversarial.fir import downsample_conv2d  # blurred and convolved, half the side
from genjax.adversarial.fir import upfirdn2d  # zeros between, filter, every n-th
from genjax.adversarial.fir import upsample  # twice the side, blurred
from genjax.adversarial.fir import upsample_conv2d  # convolved and blurred, twice the side
from genjax.adversarial.gan import MLPDiscriminator  # a perceptron to a score
from genjax.adversarial.gan import MLPGenerator  # a perceptron to an example
from genjax.adversarial.gan import gan  # any two networks, any losses on scores, any penalties
from genjax.adversarial.image_translation import InstanceNorm  # each map of each picture normalized, with a scale and a bias
from genjax.adversarial.image_translation import PatchGAN  # a score for each patch of a picture
from genjax.adversarial.image_translation import ResidualGenerator  # pictures to pictures by residual blocks
from genjax.adversarial.image_translation import UNetGenerator  # pictures to pictures, with skips
from genjax.adversarial.image_translation import instance_norm  # mean 0 and variance 1 of each map
from genjax.adversarial.image_translation import l1_loss  # mean absolute difference
from genjax.adversarial.image_translation import over_patches  # a loss on scores, averaged over patches
from genjax.adversarial.image_translation import receptive_field  # the side of a patch
from genjax.adversarial.info_networks import Codes  # noise, a category and numbers
from genjax.adversarial.info_networks import InfoGANDiscriminator  # a score, and Q on the same trunk
from genjax.adversarial.info_networks import InfoGANGenerator  # latents with codes to pictures
from genjax.adversarial.info_networks import Recognition  # score, logits, mean
from genjax.adversarial.infogan import Lambdas  # weights of the information
from genjax.adversarial.infogan import categorical_bound  # log Q(c | x) + log K
from genjax.adversarial.infogan import draw_latents  # noise, a category, numbers
from genjax.adversarial.infogan import infogan  # codes that pictures must show
from genjax.adversarial.infogan import match_codes  # categories to classes, one to one
from genjax.adversarial.infogan import uniform_bound  # log Q(c | x) + C log 2
from genjax.adversarial.latents import latent_arithmetic  # mean(base) - mean(minus) + mean(plus)
from genjax.adversarial.latents import lerp  # the straight line between latents
from genjax.adversarial.latents import slerp  # the great circle between latents
from genjax.adversarial.losses import DiscriminatorTerms  # real and fake, [B] each
from genjax.adversarial.losses import began_discriminator_loss  # L(x), -k L(G(z)), of an autoencoder's errors
from genjax.adversarial.losses import began_generator_loss  # L(G(z))
from genjax.adversarial.losses import gan_discriminator_loss  # -log D(x), -log(1 - D(G(z)))
from genjax.adversarial.losses import hinge_discriminator_loss  # max(0, 1 - s(x)), max(0, 1 + s(G(z)))
from genjax.adversarial.losses import hinge_generator_loss  # -s(G(z))
from genjax.adversarial.losses import least_squares_discriminator_loss  # (s(x) - b)^2 / 2, (s(G(z)) - a)^2 / 2
from genjax.adversarial.losses import least_squares_generator_loss  # (s(G(z)) - c)^2 / 2
from genjax.adversarial.losses import minimax_generator_loss  # log(1 - D(G(z)))
from genjax.adversarial.losses import non_saturating_generator_loss  # -log D(G(z))
from genjax.adversarial.losses import wasserstein_discriminator_loss  # -s(x), s(G(z))
from genjax.adversarial.losses import wasserstein_generator_loss  # -s(G(z))
from genjax.adversarial.lsgan import lsgan  # least squares: targets a, b, c
from genjax.adversarial.m3gan import MaskedGenerator  # fills in what a mask hides
from genjax.adversarial.m3gan import SeriesDiscriminator  # a series to a score
from genjax.adversarial.m3gan import block_mask  # hides steps in succession
from genjax.adversarial.m3gan import hidden_errors  # how far steps are from what is filled in
from genjax.adversarial.m3gan import m3gan  # masks and a filter that changes, to find anomalies
from genjax.adversarial.m3gan import masked_input  # a series under its mask
from genjax.adversarial.m3gan import mutable_filter  # the lowest frequencies alone
from genjax.adversarial.m3gan import series_error  # summed squares
from genjax.adversarial.metrogan import Growth  # of the resolution at which maps are seen
from genjax.adversarial.metrogan import MultiScaleDiscriminator  # patches at the full side and at half of it
from genjax.adversarial.metrogan import geographical_loss  # what is built on water
from genjax.adversarial.metrogan import metrogan  # maps of settlements from what is known of a place
from genjax.adversarial.metrogan import pooled  # means of blocks
from genjax.adversarial.metrogan import seen_at_level  # maps while resolution grows
from genjax.adversarial.mi_gan import MIWeights  # of content, style and smoothness
from genjax.adversarial.mi_gan import dice_coefficient  # how well masks agree
from genjax.adversarial.mi_gan import gram_matrix  # mean products of maps
from genjax.adversarial.mi_gan import mi_gan  # medical pictures for masks
from genjax.adversarial.mi_gan import style_filters  # of a random network
from genjax.adversarial.mi_gan import style_loss  # how far Gram matrices are apart
from genjax.adversarial.mi_gan import total_variation  # of neighbouring pixels
from genjax.adversarial.midinet import BarDiscriminator  # a bar and the one before to a score
from genjax.adversarial.midinet import BarGenerator  # a bar under the one before
from genjax.adversarial.midinet import midinet  # melodies bar by bar
from genjax.adversarial.midinet import one_hot_bars  # the likeliest pitch of each step
from genjax.adversarial.miegan import EnhancementGenerator  # two streams, local and global features
from genjax.adversarial.miegan import GlobalLocalDiscriminator  # the whole and its patches
from genjax.adversarial.miegan import adaptive_loss  # judges weighed by their losses
from genjax.adversarial.miegan import contrast_loss  # of standard deviations of luminance
from genjax.adversarial.miegan import luminance  # of red, green and blue
from genjax.adversarial.miegan import miegan  # dark photographs made bright
from genjax.adversarial.modulated import ModulatedConv  # a convolution whose kernel a style scales
from genjax.adversarial.modulated import demodulation  # what brings its output to unit variance
from genjax.adversarial.modulated import modulated_conv2d  # of each example, in one convolution
from genjax.adversarial.modulated import modulated_conv2d_grouped  # the same, in as many groups as examples
from genjax.adversarial.modulated import scaled_conv2d  # modulated, not demodulated
from genjax.adversarial.paired_game import paired_translation  # a picture made of a given one, any terms beside the adversarial one
from genjax.adversarial.pategan import Budget  # what privacy may be spent
from genjax.adversarial.pategan import RowDiscriminator  # a row to a score
from genjax.adversarial.pategan import RowGenerator  # latents to rows of a table
from genjax.adversarial.pategan import pategan  # a student that learns from teachers' noisy votes
from genjax.adversarial.pategan import student_loss  # cross-entropy with their answers
from genjax.adversarial.pategan import teacher_losses  # each on its own rows
from genjax.adversarial.pategan import uniform_rows  # rows that owe nothing to the data
from genjax.adversarial.pix2pix import pix2pix  # a U-Net against a discriminator of patches, with L1
from genjax.adversarial.poly_gan import PolyGenerator  # conditions at every layer of the encoder
from genjax.adversarial.poly_gan import STAGES  # shape, stitching, refinement
from genjax.adversarial.poly_gan import conditions  # two pictures and a stage
from genjax.adversarial.poly_gan import poly_gan  # one network for several stages
from genjax.adversarial.poly_gan import shadow  # what is known of a pose
from genjax.adversarial.poly_gan import stitched  # ink over a background
from genjax.adversarial.poly_gan import torn  # pictures with holes
from genjax.adversarial.privacy import epsilon_spent  # of summed log-moments
from genjax.adversarial.privacy import moments_of_answers  # what noisy answers add to the log-moments
from genjax.adversarial.privacy import noisy_majority  # of teachers' votes, with Laplace noise
from genjax.adversarial.progan import ProGANDiscriminator  # grows towards the picture
from genjax.adversarial.progan import ProGANGenerator  # grows with it
from genjax.adversarial.progan import progan  # both at one resolution, from the run at half the side
from genjax.adversarial.puzzle_gan import Puzzle  # tiles in slots, some blank
from genjax.adversarial.puzzle_gan import PuzzleNetwork  # puzzles to solutions
from genjax.adversarial.puzzle_gan import Solution  # a picture, and where each tile went
from genjax.adversarial.puzzle_gan import cut_tiles  # pictures to tiles
from genjax.adversarial.puzzle_gan import join_tiles  # and back
from genjax.adversarial.puzzle_gan import make_puzzle  # tiles shuffled, some blanked
from genjax.adversarial.puzzle_gan import placement_loss  # cross-entropy of the places
from genjax.adversarial.puzzle_gan import puzzle_gan  # solves shuffled tiles, paints missing ones
from genjax.adversarial.puzzle_gan import sinkhorn  # rows and columns scaled to sums of 1
from genjax.adversarial.regularizers import clip_weights  # after a move, all weights into [-c, c]
from genjax.adversarial.regularizers import consistency_penalty  # scores that augmentation does not move (bCR)
from genjax.adversarial.regularizers import gradient_norm  # of a critic by its examples
from genjax.adversarial.regularizers import gradient_penalty  # two-sided, on lines between real and generated
from genjax.adversarial.regularizers import off_diagonal_penalty  # filters orthogonal
from genjax.adversarial.regularizers import one_sided_gradient_penalty  # for norms above 1 alone
from genjax.adversarial.regularizers import orthogonal_penalty  # filters orthonormal
from genjax.adversarial.regularizers import path_length_penalty  # (|J^T y| - a)^2
from genjax.adversarial.regularizers import path_lengths  # |J^T y| of a synthesis by its styles
from genjax.adversarial.regularizers import penalize_weights  # a penalty on weights added to an update
from genjax.adversarial.regularizers import r1_penalty  # |grad s|^2 at real examples
from genjax.adversarial.regularizers import r2_penalty  # at generated ones
from genjax.adversarial.regularizers import refuse_batch_normalization  # where an example needs its own gradient
from genjax.adversarial.residual import discriminator_block  # 3 x 3 twice, then half the side
from genjax.adversarial.residual import first_discriminator_block  # the same on pictures
from genjax.adversarial.residual import generator_block  # double the side, then 3 x 3 twice
from genjax.adversarial.rgan import LSTM  # a long short-term memory over a series
from genjax.adversarial.rgan import RecurrentDiscriminator  # a series to a score at each step
from genjax.adversarial.rgan import RecurrentGenerator  # latents to a series
from genjax.adversarial.rgan import rgan  # two LSTMs bound into a GAN of series
from genjax.adversarial.rgan import stepwise_discriminator_loss  # mean over steps
from genjax.adversarial.rgan import stepwise_generator_loss  # mean over steps
from genjax.adversarial.ridge_gan import KernelRidge  # a fitted regression
from genjax.adversarial.ridge_gan import SettlementIndices  # the shape of what is built
from genjax.adversarial.ridge_gan import choose_kernel_ridge  # by leaving one out
from genjax.adversarial.ridge_gan import fit_kernel_ridge  # closed form
from genjax.adversarial.ridge_gan import leave_one_out_errors  # likewise
from genjax.adversarial.ridge_gan import predict_kernel_ridge  # of new inputs
from genjax.adversarial.ridge_gan import rbf_gram  # exp(-gamma |x - y|^2)
from genjax.adversarial.ridge_gan import ridge_gan  # a DCGAN of maps, and kernel ridge regression on top
from genjax.adversarial.ridge_gan import settlement_indices  # of maps
from genjax.adversarial.sad_gan import Controller  # the key between frames
from genjax.adversarial.sad_gan import sad_gan  # the next frame under a key
from genjax.adversarial.sad_gan import with_key  # a plane for each key
from genjax.adversarial.sagan import SAGANDiscriminator  # with attention over a map
from genjax.adversarial.sagan import SAGANGenerator  # likewise
from genjax.adversarial.sagan import SelfAttention  # gamma o + x, the identity at first
from genjax.adversarial.sagan import attention_map  # who attends to whom
from genjax.adversarial.sagan import sagan  # the two bound into a GAN
from genjax.adversarial.seismogen import SeismogramCritic  # records and classes to a score
from genjax.adversarial.seismogen import SeismogramGenerator  # a pipeline for each component
from genjax.adversarial.seismogen import peak_normalize  # the largest absolute value becomes 1
from genjax.adversarial.seismogen import seismogen  # seismic records with an event or without, under a gradient penalty
from genjax.adversarial.series_networks import SeriesConv  # convolution along time
from genjax.adversarial.singan import PatchNetwork  # a few convolutions over patches
from genjax.adversarial.singan import pixel_gradient_penalty  # gradient norm 1 at every pixel
from genjax.adversarial.singan import pyramid_sizes  # of a picture's scales
from genjax.adversarial.singan import resize  # pictures to another size
from genjax.adversarial.singan import singan  # one scale of a pyramid learned from one picture
from genjax.adversarial.sngan import SNGANDiscriminator  # spectrally normalized, with a projection
from genjax.adversarial.sngan import SNGANGenerator  # residual, told the class or not
from genjax.adversarial.sngan import projection_score  # <v_y, phi> + psi
from genjax.adversarial.sngan import score_head  # psi, and the projection where there are classes
from genjax.adversarial.sngan import sngan  # the two bound into a GAN
from genjax.adversarial.spatial_transformer import SpatialTransformer  # pictures turned, stretched or moved
from genjax.adversarial.spatial_transformer import affine_warp  # a picture's affine image
from genjax.adversarial.spectral_norm import PowerIteration  # u, v and sigma
from genjax.adversarial.spectral_norm import SpectralConv  # a convolution over its kernel's norm
from genjax.adversarial.spectral_norm import SpectralDense  # a linear layer over its norm
from genjax.adversarial.spectral_norm import SpectralEmbed  # a table of classes over its norm
from genjax.adversarial.spectral_norm import kernel_matrix  # a kernel as the paper's matrix
from genjax.adversarial.spectral_norm import power_iteration  # towards the largest singular value
from genjax.adversarial.srgan import SRGANDiscriminator  # pictures to a score
from genjax.adversarial.srgan import SRGANGenerator  # pictures of low resolution to pictures
from genjax.adversarial.srgan import feature_loss  # squared distance in a layer
from genjax.adversarial.srgan import pixel_loss  # mean squared error of pictures
from genjax.adversarial.srgan import pixel_shuffle  # channels spread over pixels
from genjax.adversarial.srgan import srgan  # enlarged pictures, judged in features and by a discriminator
from genjax.adversarial.stargan import Judgement  # a score, and logits of domains or attributes
from genjax.adversarial.stargan import StarGANDiscriminator  # pictures to a score and to logits of their domain
from genjax.adversarial.stargan import StarGANGenerator  # pictures and a domain to pictures
from genjax.adversarial.stargan import StarGANPerceptron  # the same, with a score as one of each domain
from genjax.adversarial.stargan import stargan  # one generator for all domains
from genjax.adversarial.style_game import mix_styles  # coarse ones below a layer, fine ones above
from genjax.adversarial.style_game import truncate  # towards the mean of w
from genjax.adversarial.style_networks import MappingNetwork  # z to w
from genjax.adversarial.style_networks import ResidualDiscriminator  # pictures to scores, half the side a block
from genjax.adversarial.style_networks import SkipSynthesis  # styles and noise to a picture
from genjax.adversarial.style_networks import draw_noise  # of all convolutions
from genjax.adversarial.style_networks import num_styles  # of a synthesis network
from genjax.adversarial.style_networks import picture_side  # of as many resolutions
from genjax.adversarial.stylegan2 import stylegan2  # three networks bound, with lazy R1 and path length
from genjax.adversarial.text2image_gan import MatchingTerms  # real, mismatched and fake, [B] each
from genjax.adversarial.text2image_gan import TextDiscriminator  # pictures and embeddings of texts to a score
from genjax.adversarial.text2image_gan import TextGenerator  # latents and embeddings of texts to a picture
from genjax.adversarial.text2image_gan import matching_aware_loss  # of real, mismatched and generated pairs
from genjax.adversarial.text2image_gan import text2image_gan  # a discriminator that knows what does not match (GAN-INT-CLS)
from genjax.adversarial.text_matching import PictureEncoder  # pictures to the joint embedding
from genjax.adversarial.text_matching import RankingTerms  # picture and text, [B] each
from genjax.adversarial.text_matching import TextEncoder  # words to features, and a sentence to the joint embedding
from genjax.adversarial.text_matching import TextFeatures  # words, mask, sentence
from genjax.adversarial.text_matching import ranking_loss  # own text before those of others, and the other way round
from genjax.adversarial.unrolled_gan import unroll  # parameters some optimizer steps ahead, differentiable
from genjax.adversarial.unrolled_gan import unrolled_gan  # a GAN whose generator looks K steps of the discriminator ahead
from genjax.adversarial.wgan import wgan  # a critic with clipped weights
from genjax.adversarial.wgan_gp import LayerNormCritic  # strided convolutions, layer-normalized, to a score
from genjax.adversarial.wgan_gp import wgan_gp  # a critic under a gradient penalty

__all__ = [
    "AdaINSynthesis",
    "AdaptiveAugmentation",
    "AttGANDecoder",
    "AttGANDiscriminator",
    "AttGANEncoder",
    "AttGANWeights",
    "BEGANAutoencoder",
    "BEGANDecoder",
    "BEGANPerceptron",
    "Balance",
    "Ball",
    "BarDiscriminator",
    "BarGenerator",
    "BigGANGenerator",
    "Budget",
    "CGANDiscriminator",
    "CGANGenerator",
    "Codes",
    "Controller",
    "ConvClassifier",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DMGenerator",
    "DiscriminatorTerms",
    "Drawing",
    "Encoding",
    "EnhancementGenerator",
    "EqualizedConv",
    "EqualizedDense",
    "GlobalLocalDiscriminator",
    "Growth",
    "InfoGANDiscriminator",
    "InfoGANGenerator",
    "InstanceNorm",
    "Judgement",
    "KernelRidge",
    "LSTM",
    "LabelBatchNorm",
    "Lambdas",
    "LayerNormCritic",
    "MIWeights",
    "MLPDiscriminator",
    "MLPGenerator",
    "MappingNetwork",
    "MaskedGenerator",
    "MatchingTerms",
    "MemoryRefinement",
    "ModulatedConv",
    "MultiScaleDiscriminator",
    "Overfitting",
    "PairDiscriminator",
    "PairScores",
    "PatchGAN",
    "PatchNetwork",
    "PictureEncoder",
    "Players",
    "PolyGenerator",
    "Pool",
    "PowerIteration",
    "ProGANDiscriminator",
    "ProGANGenerator",
    "Puzzle",
    "PuzzleNetwork",
    "RankingTerms",
    "Recognition",
    "RecurrentDiscriminator",
    "RecurrentGenerator",
    "ResidualDiscriminator",
    "ResidualGenerator",
    "RowDiscriminator",
    "RowGenerator",
    "SAGANDiscriminator",
    "SAGANGenerator",
    "SNGANDiscriminator",
    "SNGANGenerator",
    "SRGANDiscriminator",
    "SRGANGenerator",
    "STAGES",
    "SeismogramCritic",
    "SeismogramGenerator",
    "SelfAttention",
    "SeriesConv",
    "SeriesDetector",
    "SeriesDiscriminator",
    "SeriesReconstructor",
    "SettlementIndices",
    "SkipSynthesis",
    "Solution",
    "SpatialTransformer",
    "SpectralConv",
    "SpectralDense",
    "SpectralEmbed",
    "StarGANDiscriminator",
    "StarGANGenerator",
    "StarGANPerceptron",
    "TextDiscriminator",
    "TextEncoder",
    "TextFeatures",
    "TextGenerator",
    "UNetGenerator",
    "VectorBatchNorm",
    "Widths",
    "adain",
    "adaptive_loss",
    "adversarial_training",
    "affine_warp",
    "alternating",
    "ambiguity_loss",
    "attention_map",
    "attgan",
    "attribute_loss",
    "augmentation",
    "averaged",
    "balanced_weights",
    "began",
    "began_discriminator_loss",
    "began_generator_loss",
    "biggan",
    "bilinear",
    "block_mask",
    "blur",
    "categorical_bound",
    "cegan",
    "cgan",
    "choose_kernel_ridge",
    "clip_weights",
    "cnts",
    "conditions",
    "consistency_penalty",
    "contrast_loss",
    "convergence_measure",
    "cut_tiles",
    "cyclegan",
    "dcgan",
    "demodulation",
    "detector_loss",
    "dice_coefficient",
    "discriminator_block",
    "dm_gan",
    "doubt",
    "downsample",
    "downsample_conv2d",
    "draw_latents",
    "draw_noise",
    "epsilon_spent",
    "extragradient",
    "feature_loss",
    "fgsm",
    "filling_distribution",
    "filling_ratio",
    "first_discriminator_block",
    "fit_kernel_ridge",
    "gan",
    "gan_discriminator_loss",
    "generator_block",
    "geographical_loss",
    "gradient_norm",
    "gradient_penalty",
    "gram_matrix",
    "hidden_errors",
    "hinge_discriminator_loss",
    "hinge_generator_loss",
    "infogan",
    "instance_norm",
    "join_tiles",
    "kept_error",
    "kept_steps",
    "kernel_matrix",
    "l1_loss",
    "l_2",
    "l_inf",
    "label_loss",
    "label_of",
    "latent_arithmetic",
    "least_squares_discriminator_loss",
    "least_squares_generator_loss",
    "leave_one_out_errors",
    "lerp",
    "lsgan",
    "luminance",
    "m3gan",
    "make_puzzle",
    "masked_input",
    "match_codes",
    "matching_aware_loss",
    "metrogan",
    "mi_gan",
    "midinet",
    "miegan",
    "minibatch_stddev",
    "minimax_generator_loss",
    "mix_styles",
    "modulate",
    "modulated_conv2d",
    "modulated_conv2d_grouped",
    "moments_of_answers",
    "mutable_filter",
    "next_balance",
    "noisy_majority",
    "non_saturating_generator_loss",
    "num_styles",
    "off_diagonal_penalty",
    "one_hot_bars",
    "one_sided_gradient_penalty",
    "orthogonal_penalty",
    "over_patches",
    "paired_translation",
    "pategan",
    "path_length_penalty",
    "path_lengths",
    "peak_normalize",
    "penalize_weights",
    "pgd",
    "picture_side",
    "pix2pix",
    "pixel_gradient_penalty",
    "pixel_loss",
    "pixel_norm",
    "pixel_shuffle",
    "placement_loss",
    "play_game",
    "poly_gan",
    "pooled",
    "power_iteration",
    "predict_kernel_ridge",
    "progan",
    "projection_score",
    "puzzle_gan",
    "pyramid_sizes",
    "r1_penalty",
    "r2_penalty",
    "ranking_loss",
    "rbf_gram",
    "read_memory",
    "receptive_field",
    "reconstruction_error",
    "refuse_batch_normalization",
    "resize",
    "rgan",
    "ridge_gan",
    "sad_gan",
    "sagan",
    "scaled_conv2d",
    "score_head",
    "seen_at_level",
    "seismogen",
    "series_error",
    "settlement_indices",
    "shadow",
    "show_from_pool",
    "simultaneous",
    "singan",
    "sinkhorn",
    "slerp",
    "sngan",
    "split_latent",
    "srgan",
    "standing_statistics",
    "stargan",
    "stepwise_discriminator_loss",
    "stepwise_generator_loss",
    "stitched",
    "student_loss",
    "style_filters",
    "style_loss",
    "stylegan2",
    "teacher_losses",
    "text2image_gan",
    "torn",
    "total_variation",
    "truncate",
    "truncated_normal",
    "unchanged",
    "uniform_bound",
    "uniform_rows",
    "unroll",
    "unrolled_gan",
    "upfirdn2d",
    "upsample",
    "upsample_conv2d",
    "wasserstein_discriminator_loss",
    "wasserstein_generator_loss",
    "wgan",
    "wgan_gp",
    "with_key",
]
