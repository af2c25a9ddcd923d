# SPDX-License-Identifier: Apache-2.0
sallyport_fuzz(heartbeat SOURCES egress/heartbeat_fuzz.cc DEPS sallyport_egress)
